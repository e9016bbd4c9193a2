// The official TypeScript client over HTTP: `node http_client.mjs MODULES URL TOKEN MODE` says what it gets, as JSON.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [modules, url, token, mode] = process.argv.slice(2)
const found = createRequire(`${modules}/x.js`).resolve('@modelcontextprotocol/client')
const { Client, StreamableHTTPClientTransport } = await import(pathToFileURL(found).href.replace(/\.cjs$/, '.mjs'))

const client = new Client({ name: 'typescript', version: '1' }, { versionNegotiation: { mode } })
const transport = new StreamableHTTPClientTransport(new URL(url), {
  requestInit: { headers: { Authorization: `Bearer ${token}` } }
})
await client.connect(transport)
const tools = (await client.listTools()).tools.map(tool => tool.name).sort()
const { content } = await client.callTool({ name: 'good__echo', arguments: { text: 'hi' } })
let steps = 0
const stopped = await client
  .callTool({ name: 'good__slow', arguments: {} }, { onprogress: () => { steps++ }, timeout: 2000 })
  .catch(error => error.message)
const unknown = await client.callTool({ name: 'good__nothing', arguments: {} }).catch(error => error.code)
await transport.terminateSession()
await client.close()
process.stdout.write(JSON.stringify({ tools, content, steps, stopped, unknown }), () => process.exit(0))
