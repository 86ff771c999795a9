// Drives the TypeScript SDK v2 through a plan of tool calls; runs in the environment that ../setup.sh makes.
//
//   node typescript_v2.mjs URL PLAN      PLAN: JSON list of {"name", "arguments"}
//
// Prints one JSON object: the tools that were listed, and for each call what the client's caller gets to see.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

// The packages lie in the working directory's node_modules, not beside this file, and this one is ESM only.
const folder = path.join(process.cwd(), 'node_modules/@modelcontextprotocol/client');
const manifest = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
const entry = manifest.exports?.['.']?.import?.default ?? manifest.exports?.['.']?.import ?? manifest.exports?.['.']?.default;
const { Client, StreamableHTTPClientTransport } = await import(pathToFileURL(path.join(folder, entry)).href);

const [url, plan] = process.argv.slice(2);
const client = new Client({ name: 'typescript-v2', version: '1' }, { versionNegotiation: { mode: 'auto' } });
const transport = new StreamableHTTPClientTransport(new URL(url));
await client.connect(transport);
const tools = (await client.listTools()).tools.map((tool) => tool.name);
const calls = [];
for (const call of JSON.parse(plan)) {
  try {
    const result = await client.callTool(call);
    const words = result.content.filter((block) => block.type === 'text').map((block) => block.text).join('\n');
    calls.push({ isError: Boolean(result.isError), text: words, meta: result._meta ?? null });
  } catch (error) {
    calls.push({ raised: `${error.name}: ${error.message}` });
  }
}
const protocol = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? null;
await client.close();
console.log(JSON.stringify({ client: `@modelcontextprotocol/client ${manifest.version}`, protocol, tools, calls }));
