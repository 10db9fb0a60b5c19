// Reads [[chain, contract, account, cumulative], …] lists and answers root and proofs, by OpenZeppelin's own library.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { StandardMerkleTree } = createRequire(`${process.cwd()}/`)("@openzeppelin/merkle-tree");

const answers = JSON.parse(readFileSync(0, "utf8")).map((values) => {
  const tree = StandardMerkleTree.of(values, ["uint256", "address", "address", "uint256"]);
  return { root: tree.root, proofs: values.map((_, place) => tree.getProof(place)) };
});
console.log(JSON.stringify(answers));
