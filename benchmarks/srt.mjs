// The peer as a library: initialised once, then one `true` in a sandbox for each line of input.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { SandboxManager } from '@anthropic-ai/sandbox-runtime'

await SandboxManager.initialize(JSON.parse(process.argv[2]))
console.log('ready')
for await (const _ of createInterface({ input: process.stdin })) {
  const began = performance.now()
  const command = await SandboxManager.wrapWithSandbox('true')
  const child = spawn(command, { shell: true, stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.resume()
  child.stderr.pipe(process.stderr)
  const code = await new Promise((resolve) => child.on('close', resolve))
  const took = performance.now() - began
  SandboxManager.cleanupAfterCommand()
  console.log(JSON.stringify({ code, took }))
}
await SandboxManager.reset()
process.exit(0)
