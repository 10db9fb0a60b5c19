// Compiles the contracts and writes, for each, what the service loads (ABI and bytecode) and what anybody needs to
// compile it again (the compiler's standard JSON input). The same sources give the same bytes on every machine.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const home = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] ?? join(home, "artifacts");
const solc = createRequire(import.meta.url)("solc");

const CONTRACTS = ["KgoToken", "KgoBadge"];

const SETTINGS = {
  // Instructions up to Cancun, which every chain of use knows.
  evmVersion: "cancun",
  optimizer: { enabled: true, runs: 200 },
  viaIR: true,
  // No hash of paths and comments in the code: it depends on nothing but what it does.
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: {
    "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"] },
  },
};

const read = (path) => readFileSync(path.startsWith("@") ? join(home, "node_modules", path) : join(home, path), "utf8");

function compile(input, find) {
  const output = JSON.parse(solc.compile(JSON.stringify(input), find && { import: find }));
  const problems = output.errors ?? [];
  if (problems.length > 0) {
    console.error(problems.map((problem) => problem.formattedMessage).join("\n"));
    process.exit(1);
  }
  return output.contracts;
}

// The input must hold every source: the first run, which reads them from node_modules, tells which those are.
function collect(name) {
  const sources = { [`${name}.sol`]: { content: read(`${name}.sol`) } };
  compile({ language: "Solidity", sources, settings: { ...SETTINGS, outputSelection: {} } }, (path) => {
    sources[path] = { content: read(path) };
    return { contents: sources[path].content };
  });
  return Object.fromEntries(Object.keys(sources).sort().map((path) => [path, sources[path]]));
}

const write = (name, value) => writeFileSync(join(target, name), JSON.stringify(value, null, 1) + "\n");

mkdirSync(target, { recursive: true });
for (const name of CONTRACTS) {
  const input = { language: "Solidity", sources: collect(name), settings: SETTINGS };
  const { abi, evm } = compile(input)[`${name}.sol`][name];
  write(`${name}.json`, {
    contract: name,
    compiler: solc.version(),
    abi,
    bytecode: evm.bytecode.object,
    runtime: evm.deployedBytecode.object,
    // Where the constructor writes immutables into the runtime code: [start, length] in bytes.
    immutables: Object.values(evm.deployedBytecode.immutableReferences)
      .flat()
      .map(({ start, length }) => [start, length])
      .sort((left, right) => left[0] - right[0]),
  });
  write(`${name}.input.json`, input);
  console.log(`${name}: ${evm.deployedBytecode.object.length / 2} bytes of code`);
}
