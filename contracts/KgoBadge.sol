// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControlDefaultAdminRules} from
    "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {IERC5192} from "./IERC5192.sol";

/// @title Badges of a learning city: ERC-721 bound to its first owner (ERC-5192)
/// @notice A badge's token id is the sequence number of its `badge` entry in the city's public log, so that one entry is
/// one badge at most, for ever. Its owner may renounce it, and it never comes back.
contract KgoBadge is ERC721, AccessControlDefaultAdminRules, IERC5192 {
    /// @notice Who awards badges.
    bytes32 public constant ISSUER_ROLE = keccak256("ISSUER_ROLE");

    /// @notice SHA-256 of the origin (the key name) of the city's log.
    bytes32 public immutable originHash;

    string private _base;
    mapping(uint256 tokenId => bool) private _renounced;

    /// @notice A badge was awarded for the log entry `tokenId`, whose RFC 6962 leaf hash is `leafHash`.
    event Awarded(address indexed account, uint256 indexed tokenId, bytes32 leafHash);
    /// @notice The owner gave a badge back.
    event Renounced(address indexed account, uint256 indexed tokenId);
    /// @notice The metadata of all badges moved.
    event BaseUriChanged(string baseUri);

    /// @notice Badges cannot be transferred or approved for transfer.
    error Soulbound();
    /// @notice The badge of this entry was awarded before, be it renounced since or not.
    error AlreadyAwarded(uint256 tokenId);
    /// @notice Only the owner renounces a badge.
    error NotOwner(uint256 tokenId);

    /// @param name_ Name of the collection.
    /// @param symbol_ Its symbol.
    /// @param baseUri What stands before the token id in the address of a badge's metadata.
    /// @param originHash_ SHA-256 of the log's origin.
    /// @param adminDelay Seconds that handing over the admin role takes.
    /// @param admin Appoints issuers and sets the base address.
    /// @param issuer The first issuer.
    constructor(
        string memory name_,
        string memory symbol_,
        string memory baseUri,
        bytes32 originHash_,
        uint48 adminDelay,
        address admin,
        address issuer
    ) ERC721(name_, symbol_) AccessControlDefaultAdminRules(adminDelay, admin) {
        originHash = originHash_;
        _base = baseUri;
        _grantRole(ISSUER_ROLE, issuer);
    }

    /// @notice Award the badge of one log entry; refused if it was awarded before.
    /// @param account The wallet that its learner linked.
    /// @param seq Sequence number of the `badge` entry, which becomes the token id.
    /// @param leafHash RFC 6962 leaf hash of that entry.
    function award(address account, uint64 seq, bytes32 leafHash) external onlyRole(ISSUER_ROLE) {
        if (_ownerOf(seq) != address(0) || _renounced[seq]) revert AlreadyAwarded(seq);
        // Not `_safeMint`: the account proved by a signature that it is in use, and no foreign code is called.
        _mint(account, seq);
        emit Locked(seq);
        emit Awarded(account, seq, leafHash);
    }

    /// @notice Give a badge back for ever: nobody has to keep what they do not want to be seen with.
    /// @param tokenId A badge of the sender.
    function renounce(uint256 tokenId) external {
        if (_requireOwned(tokenId) != msg.sender) revert NotOwner(tokenId);
        _renounced[tokenId] = true;
        _burn(tokenId);
        emit Renounced(msg.sender, tokenId);
    }

    /// @notice Move the metadata, as when the city's public address changes.
    /// @param baseUri What stands before the token id from now on.
    function setBaseUri(string calldata baseUri) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _base = baseUri;
        emit BaseUriChanged(baseUri);
    }

    /// @inheritdoc IERC5192
    function locked(uint256 tokenId) external view returns (bool) {
        _requireOwned(tokenId);
        return true;
    }

    /// @notice Always refused.
    function approve(address, uint256) public pure override {
        revert Soulbound();
    }

    /// @notice Always refused.
    function setApprovalForAll(address, bool) public pure override {
        revert Soulbound();
    }

    /// @notice ERC-165: ERC-721 with metadata, ERC-5192 (0xb45a3c0e), access control.
    function supportsInterface(bytes4 interfaceId)
        public
        view
        override(ERC721, AccessControlDefaultAdminRules)
        returns (bool)
    {
        return interfaceId == type(IERC5192).interfaceId || super.supportsInterface(interfaceId);
    }

    function _baseURI() internal view override returns (string memory) {
        return _base;
    }

    /// @dev Every change of owner passes here: only from nobody (awarded) and to nobody (renounced).
    function _update(address to, uint256 tokenId, address auth) internal override returns (address) {
        if (to != address(0) && _ownerOf(tokenId) != address(0)) revert Soulbound();
        return super._update(to, tokenId, auth);
    }
}
