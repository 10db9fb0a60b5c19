// SPDX-License-Identifier: CC0-1.0
pragma solidity 0.8.37;

/// @title ERC-5192: minimal soulbound tokens; its ERC-165 identifier is 0xb45a3c0e
interface IERC5192 {
    /// @notice A token was bound to its owner.
    event Locked(uint256 tokenId);

    /// @notice A token may change hands again; the city's badges never do.
    event Unlocked(uint256 tokenId);

    /// @notice Whether a token is bound to its owner; reverts for one that does not exist.
    function locked(uint256 tokenId) external view returns (bool);
}
