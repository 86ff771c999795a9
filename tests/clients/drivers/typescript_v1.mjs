// Drives the TypeScript SDK v1 through a plan of tool calls; runs in the environment that ../setup.sh makes.
//
//   node typescript_v1.mjs URL PLAN      PLAN: JSON list of {"name", "arguments"}
//
// Prints one JSON object: the tools that were listed, and for each call what the client's caller gets to see.
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

// The packages lie in the working directory's node_modules, not beside this file.
const require = createRequire(path.join(process.cwd(), 'package.json'));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = await load('@modelcontextprotocol/sdk/client/streamableHttp.js');
const { version } = require('./node_modules/@modelcontextprotocol/sdk/package.json');

const [url, plan] = process.argv.slice(2);
const client = new Client({ name: 'typescript-v1', version: '1' });
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
const protocol = transport.protocolVersion ?? null;
await client.close();
console.log(JSON.stringify({ client: `@modelcontextprotocol/sdk ${version}`, protocol, tools, calls }));
