// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Consistency proofs of append-only Merkle trees: RFC 9162, section 2.1.4.2, with SHA-256
/// @notice A node is SHA256(0x01 || left || right), a leaf SHA256(0x00 || data), so that no node passes for a leaf. The
/// same loop as `_climb` of the Python package `ledger.proof.merkle`; the tests hold the two against each other.
library ConsistencyProof {
    /// @notice Whether the tree of the first `oldSize` leaves is a prefix of the tree of `newSize` leaves.
    /// @dev False for sizes that need no proof (0, or not growing): their meaning is the caller's to decide.
    /// @param oldSize Leaves of the older tree.
    /// @param oldRoot Its root.
    /// @param newSize Leaves of the newer tree.
    /// @param newRoot Its root.
    /// @param proof The nodes in the order of RFC 9162; one too many or too few is refused.
    function isPrefix(
        uint64 oldSize,
        bytes32 oldRoot,
        uint64 newSize,
        bytes32 newRoot,
        bytes32[] calldata proof
    ) internal view returns (bool) {
        if (oldSize == 0 || oldSize >= newSize || proof.length == 0) return false;
        // No overflow: sizes are at least 1 here, positions only shrink, and `next` stays below the length of calldata.
        unchecked {
            uint256 position = oldSize - 1;
            uint256 last = newSize - 1;
            // The seed is the old tree's last perfect subtree: skip the levels below it.
            while (position & 1 == 1) {
                position >>= 1;
                last >>= 1;
            }
            // A perfect old tree is its own seed, and the proof leaves it out.
            uint256 next = oldSize & (oldSize - 1) == 0 ? 0 : 1;
            bytes32 older = next == 0 ? oldRoot : proof[0];
            bytes32 newer = older;
            for (; next < proof.length; ++next) {
                if (last == 0) return false;
                bytes32 sibling = proof[next];
                if (position & 1 == 1 || position == last) {
                    // Until the first sibling on the right, both trees are one.
                    bool same = older == newer;
                    older = _node(sibling, older);
                    newer = same ? older : _node(sibling, newer);
                    while (position & 1 == 0 && position != 0) {
                        position >>= 1;
                        last >>= 1;
                    }
                } else {
                    newer = _node(newer, sibling);
                }
                position >>= 1;
                last >>= 1;
            }
            return last == 0 && older == oldRoot && newer == newRoot;
        }
    }

    /// @dev SHA256(0x01 || left || right) by the precompiled contract at address 2, in memory beyond what is in use. A
    /// chain that lacks it returns no 32 bytes, and the call reverts rather than trust what stood in memory.
    function _node(bytes32 left, bytes32 right) private view returns (bytes32 hash) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore8(free, 1)
            mstore(add(free, 1), left)
            mstore(add(free, 33), right)
            if iszero(and(eq(returndatasize(), 32), staticcall(gas(), 2, free, 65, 0, 32))) { revert(0, 0) }
            hash := mload(0)
        }
    }
}
