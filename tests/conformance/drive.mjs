// The TypeScript client: it plays sessions as written, and says how each step ended for it.
// `node drive.mjs MODULES FILE`: FILE has the sessions as JSON, the endings come out as JSON.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [modules, file] = process.argv.slice(2)
const installed = createRequire(`${modules}/x.js`)
const load = async (name) => import(pathToFileURL(installed.resolve(name)).href.replace(/\.cjs$/, '.mjs'))
const { Client } = await load('@modelcontextprotocol/client')
const { StdioClientTransport } = await load('@modelcontextprotocol/client/stdio')

const LISTS = ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list']

async function listed (client, method, _meta) {
  let cursor
  do {
    const page = await client.request({ method, params: cursor === undefined ? { _meta } : { cursor, _meta } })
    cursor = page.nextCursor
  } while (cursor !== undefined)
}

async function step (client, method, params) {
  switch (method) {
    case 'tools/call': return client.callTool(params, { onprogress: () => {} })
    case 'prompts/get': return client.getPrompt(params)
    case 'resources/read': return client.readResource(params)
    default: return client.request({ method, params })
  }
}

async function played ({ command, env, mode, asks, steps }) {
  const capabilities = asks ? { sampling: {}, elicitation: {} } : {}
  const client = new Client({ name: 'differential', version: '1' }, { capabilities, versionNegotiation: { mode } })
  if (asks) {
    client.setRequestHandler('sampling/createMessage', async () => (
      { role: 'assistant', content: { type: 'text', text: 'a sampled answer' }, model: 'none', stopReason: 'endTurn' }))
    client.setRequestHandler('elicitation/create', async () => (
      { action: 'accept', content: { name: 'Ada', check: true } }))
  }
  await client.connect(new StdioClientTransport({ command: command[0], args: command.slice(1), env, stderr: 'ignore' }))
  const endings = []
  for (const [number, [method, params]] of steps.entries()) {
    const _meta = { step: number }
    try {
      await (LISTS.includes(method) ? listed(client, method, _meta) : step(client, method, { ...params, _meta }))
      endings.push('fine')
    } catch (error) {
      endings.push(typeof error.code === 'number' ? `error ${error.code}` : `${error.name}: ${error.message}`)
    }
  }
  await client.close()
  return endings
}

const endings = []
for (const session of JSON.parse(readFileSync(file))) endings.push(await played(session))
process.stdout.write(JSON.stringify(endings), () => process.exit(0))
