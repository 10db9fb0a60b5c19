// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControlDefaultAdminRules} from
    "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ShortString, ShortStrings} from "@openzeppelin/contracts/utils/ShortStrings.sol";
import {ConsistencyProof} from "./ConsistencyProof.sol";

/// @title The token of a learning city, and the witness of its public log
/// @notice Tokens come into being by claims alone and end by deposits alone: nobody mints, nothing is upgraded.
///
/// - `anchor` extends the one history of the log that this contract knows; a rewritten one has no proof. It never pauses.
/// - `propose` → a delay in which `veto` may strike → `activate`: a list of (wallet, cumulative amount) may be claimed.
/// - `claim` mints what an account has not claimed yet, to that account, whoever sends it.
/// - `deposit` burns tokens for the ledger, numbered without gaps.
///
/// Always: totalSupply = claimed − deposited, claimed ≤ active total, active total − deposited ≤ supply cap.
/// Amounts are minor units in 96 bits; the ledger's are below 2**53.
contract KgoToken is ERC20, AccessControlDefaultAdminRules, Pausable {
    /// @notice How a contract is set up. None of it changes later but the delay and who holds which role.
    struct Settings {
        string name; // up to 31 bytes in UTF-8
        string symbol; // likewise
        uint8 decimals; // the city's scale
        bytes32 originHash; // SHA-256 of the origin of the city's log
        uint96 supplyCap; // most that can be in circulation here
        uint96 increaseLimit; // most that the claimable total rises in one period
        uint32 period; // seconds
        uint32 delay; // seconds from a proposal to its activation, and for handing over the admin role
        uint32 minimumDelay; // seconds; the delay is never set below it
        address admin; // appoints, resumes, changes the delay
        address proposer; // proposes claims
        address guardian; // vetoes them
        address anchorer; // anchors checkpoints
        address pauser; // pauses
    }

    /// @notice Who proposes claims.
    bytes32 public constant PROPOSER_ROLE = "PROPOSER_ROLE";
    /// @notice Who vetoes them.
    bytes32 public constant GUARDIAN_ROLE = "GUARDIAN_ROLE";
    /// @notice Who anchors the log.
    bytes32 public constant ANCHORER_ROLE = "ANCHORER_ROLE";
    /// @notice Who pauses claims, deposits and proposals; the admin alone resumes them.
    bytes32 public constant PAUSER_ROLE = "PAUSER_ROLE";
    uint32 private constant _MAXIMUM_DELAY = 30 days;
    uint256 private constant _DEPOSIT_BOUND = 2 ** 53; // no entry of the ledger holds more

    /// @notice SHA-256 of the origin (the key name) of the city's log.
    bytes32 public immutable originHash;
    uint96 private immutable _supplyCap; // most minor units in circulation here at one time
    uint96 private immutable _increaseLimit; // most minor units by which the claimable total rises in a period
    uint32 private immutable _period; // seconds; the next one begins with the first proposal after one ended
    uint32 private immutable _minimumDelay; // seconds; the delay is never set below it
    uint8 private immutable _decimals;
    // In the code rather than in storage, where they would cost three times as much.
    ShortString private immutable _shortName;
    ShortString private immutable _shortSymbol;

    // One slot, together with the flag of `Pausable`: all that a claim reads but the root.
    uint96 private _activeTotal;
    uint96 private _claimedTotal;

    // One slot.
    uint96 private _depositedTotal;
    uint64 private _depositCount;
    uint96 private _periodBase; // the active total when the period began

    bytes32 private _activeRoot;
    bytes32 private _proposedRoot;

    // One slot.
    uint96 private _proposedTotal;
    uint48 private _proposedAtSize;
    uint48 private _proposedActiveAt; // zero: nothing waits
    uint48 private _proposalCount; // the id of the latest proposal

    // One slot, in use from the beginning, which makes the first anchor no dearer than the others.
    uint192 private _anchoredSizes; // the last four, 48 bits each, the newest lowest
    uint48 private _periodStart;

    bytes32 private _anchoredRoot;

    mapping(address account => uint256) private _claimed;

    /// @notice The log was anchored at `size` entries, as an extension of the history at `oldSize`.
    event Anchored(uint48 indexed oldSize, uint48 indexed size, bytes32 root);
    /// @notice Claims were proposed, computed from the first `atSize` log entries; `activeAt` in seconds since 1970.
    event Proposed(uint48 indexed id, bytes32 indexed claimsRoot, uint96 total, uint48 atSize, uint48 activeAt);
    /// @notice A proposal was stopped for ever.
    event Vetoed(uint48 indexed id, bytes32 indexed claimsRoot);
    /// @notice The claims of a proposal can be claimed, and those of the one before no longer under its root.
    event Activated(uint48 indexed id, bytes32 indexed claimsRoot, uint96 total);
    /// @notice An account received `amount`, and `cumulative` in all so far.
    event Claimed(address indexed account, uint256 amount, uint256 cumulative);
    /// @notice The deposit numbered `seq` (0, 1, 2 …) was burned; `ref` is the ledger's one-time ticket.
    event Deposited(uint64 indexed seq, address indexed account, bytes32 indexed ref, uint256 amount);

    /// @notice A setting of the constructor is out of its bounds.
    error InvalidSettings();
    /// @notice The log is anchored at another size than the caller knew.
    error StaleAnchor(uint48 anchoredSize);
    /// @notice No proof that the anchored history is a prefix of this one.
    error NotAnExtension();
    /// @notice A root of zero is nobody's.
    error ZeroRoot();
    /// @notice A proposal waits already.
    error ProposalPending();
    /// @notice None of the last four anchors has this size.
    error NotAnchored();
    /// @notice The claimable total would fall.
    error TotalFalls();
    /// @notice More would come into circulation than the contract ever allows.
    error AboveSupplyCap();
    /// @notice More than the limit in this period.
    error AboveIncreaseLimit(uint96 highestTotal);
    /// @notice That proposal does not wait (any more).
    error NotPending();
    /// @notice The delay of the proposal is not over.
    error TooEarly(uint48 activeAt);
    /// @notice Another root is active than the caller expected.
    error RootNotActive(bytes32 activeRoot);
    /// @notice The account and amount are not in the active list.
    error InvalidClaim();
    /// @notice The account has received all of it already.
    error NothingToClaim();
    /// @notice The list claims more than its declared total.
    error AboveActiveTotal();
    /// @notice A deposit of nothing, or more than one ledger entry can hold.
    error DepositOutOfRange();
    /// @notice The delay lies outside its bounds.
    error DelayOutOfRange();
    /// @notice Nobody takes the veto from a guardian, who may only resign.
    error GuardianStays();

    /// @param settings See `Settings`.
    constructor(Settings memory settings)
        ERC20("", "")
        AccessControlDefaultAdminRules(settings.delay, settings.admin)
    {
        if (
            settings.originHash == 0 || settings.supplyCap == 0 || settings.increaseLimit == 0 || settings.period == 0
                || settings.minimumDelay == 0 || settings.delay < settings.minimumDelay
                || settings.delay > _MAXIMUM_DELAY
        ) revert InvalidSettings();
        // A guardian who is also the one to be watched guards nothing.
        if (
            settings.guardian == address(0) || settings.guardian == settings.proposer
                || settings.guardian == settings.admin
        ) revert InvalidSettings();
        _shortName = ShortStrings.toShortString(settings.name);
        _shortSymbol = ShortStrings.toShortString(settings.symbol);
        _decimals = settings.decimals;
        originHash = settings.originHash;
        _supplyCap = settings.supplyCap;
        _increaseLimit = settings.increaseLimit;
        _period = settings.period;
        _minimumDelay = settings.minimumDelay;
        _periodStart = uint48(block.timestamp);
        _grantRole(PROPOSER_ROLE, settings.proposer);
        _grantRole(GUARDIAN_ROLE, settings.guardian);
        _grantRole(ANCHORER_ROLE, settings.anchorer);
        _grantRole(PAUSER_ROLE, settings.pauser);
    }

    /// @notice Anchor the log's checkpoint; the first one is taken as it is, once. Works while paused.
    /// @param oldSize Entries of the checkpoint anchored before, 0 for the first.
    /// @param size Entries of this checkpoint, more than before.
    /// @param root Its root.
    /// @param proof RFC 9162 consistency proof from `oldSize` to `size`; empty for the first.
    function anchor(uint48 oldSize, uint48 size, bytes32 root, bytes32[] calldata proof)
        external
        onlyRole(ANCHORER_ROLE)
    {
        uint192 sizes = _anchoredSizes;
        if (oldSize != uint48(sizes)) revert StaleAnchor(uint48(sizes));
        if (root == 0) revert ZeroRoot();
        if (oldSize == 0 ? size == 0 || proof.length != 0 : !_extends(oldSize, size, root, proof)) {
            revert NotAnExtension();
        }
        _anchoredSizes = sizes << 48 | size;
        _anchoredRoot = root;
        emit Anchored(oldSize, size, root);
    }

    /// @notice Propose a list of claims.
    /// @param claimsRoot Root of OpenZeppelin's StandardMerkleTree over (chain id, this contract, account, cumulative).
    /// @param total Sum of all cumulative amounts in it.
    /// @param atSize Log entries that the list was computed from: the size of one of the last four anchors.
    function propose(bytes32 claimsRoot, uint96 total, uint48 atSize) external onlyRole(PROPOSER_ROLE) whenNotPaused {
        if (_proposedActiveAt != 0) revert ProposalPending();
        if (claimsRoot == 0) revert ZeroRoot();
        if (!_isAnchored(atSize)) revert NotAnchored();
        uint96 activeTotal = _activeTotal;
        if (total < activeTotal) revert TotalFalls();
        // Proven: deposited ≤ claimed ≤ activeTotal ≤ total, and times stay far below 2**48.
        unchecked {
            if (total - _depositedTotal > _supplyCap) revert AboveSupplyCap();
            if (block.timestamp >= uint256(_periodStart) + _period) {
                _periodStart = uint48(block.timestamp);
                _periodBase = activeTotal;
            }
            if (total - _periodBase > _increaseLimit) revert AboveIncreaseLimit(_periodBase + _increaseLimit);
            uint48 id = ++_proposalCount;
            uint48 activeAt = uint48(block.timestamp) + defaultAdminDelay();
            _proposedRoot = claimsRoot;
            _proposedTotal = total;
            _proposedAtSize = atSize;
            _proposedActiveAt = activeAt;
            emit Proposed(id, claimsRoot, total, atSize, activeAt);
        }
    }

    /// @notice Stop the proposal that waits; possible until it is activated, also while paused.
    /// @param id Its id.
    function veto(uint48 id) external onlyRole(GUARDIAN_ROLE) {
        _requirePending(id);
        _proposedActiveAt = 0;
        emit Vetoed(id, _proposedRoot);
    }

    /// @notice Make the proposal claimable once its delay is over; anybody may.
    /// @param id Its id.
    function activate(uint48 id) external whenNotPaused {
        uint48 activeAt = _requirePending(id);
        if (block.timestamp < activeAt) revert TooEarly(activeAt);
        (bytes32 root, uint96 total) = (_proposedRoot, _proposedTotal);
        _proposedActiveAt = 0;
        _activeRoot = root;
        _activeTotal = total;
        emit Activated(id, root, total);
    }

    /// @notice Mint to `account` what it has not claimed yet; anybody may send it.
    /// @param account Who receives.
    /// @param cumulative All that the list gives the account since the beginning.
    /// @param expectedRoot The active root that the proof is for.
    /// @param proof Siblings from the leaf upwards, as StandardMerkleTree gives them.
    function claim(address account, uint96 cumulative, bytes32 expectedRoot, bytes32[] calldata proof)
        external
        whenNotPaused
    {
        if (expectedRoot == 0) revert ZeroRoot();
        bytes32 root = _activeRoot;
        if (expectedRoot != root) revert RootNotActive(root);
        if (!MerkleProof.verifyCalldata(proof, root, _leaf(account, cumulative))) revert InvalidClaim();
        uint256 before = _claimed[account];
        if (cumulative <= before) revert NothingToClaim();
        // Proven: cumulative > before; claimed ≤ activeTotal, both below 2**96.
        unchecked {
            uint256 amount = cumulative - before;
            uint256 claimedTotal = _claimedTotal + amount;
            if (claimedTotal > _activeTotal) revert AboveActiveTotal();
            _claimed[account] = cumulative;
            _claimedTotal = uint96(claimedTotal);
            _mint(account, amount);
            emit Claimed(account, amount, cumulative);
        }
    }

    /// @notice Burn tokens of the sender for the ledger to credit.
    /// @param amount Minor units, at least 1 and below 2**53.
    /// @param ref The one-time ticket that the ledger handed out; an unknown one is credited to nobody.
    function deposit(uint256 amount, bytes32 ref) external whenNotPaused {
        if (amount == 0 || amount >= _DEPOSIT_BOUND) revert DepositOutOfRange();
        _burn(msg.sender, amount);
        // Proven: what is burned was claimed, so that deposited ≤ claimed < 2**96.
        unchecked {
            uint64 seq = _depositCount++;
            _depositedTotal += uint96(amount);
            emit Deposited(seq, msg.sender, ref, amount);
        }
    }

    /// @notice Schedule another delay; a shorter one helps no proposal sooner than the present one would.
    /// @param newDelay Seconds, between the minimum and 30 days.
    function changeDefaultAdminDelay(uint48 newDelay) public override {
        if (newDelay < _minimumDelay || newDelay > _MAXIMUM_DELAY) revert DelayOutOfRange();
        super.changeDefaultAdminDelay(newDelay);
    }

    /// @notice Stop claims, deposits, proposals and activations; anchors, vetoes and transfers go on.
    function pause() external onlyRole(PAUSER_ROLE) {
        _pause();
    }

    /// @notice Resume what was paused.
    function unpause() external onlyRole(DEFAULT_ADMIN_ROLE) {
        _unpause();
    }

    /// @notice Take a role from an account; a guardian keeps the veto even against the admin, and may only resign.
    /// @param role The role.
    /// @param account Who loses it.
    function revokeRole(bytes32 role, address account) public override(AccessControlDefaultAdminRules) {
        if (role == GUARDIAN_ROLE) revert GuardianStays();
        super.revokeRole(role, account);
    }

    /// @notice Name of the token.
    function name() public view override returns (string memory) {
        return ShortStrings.toString(_shortName);
    }

    /// @notice Its symbol, as `KGO`.
    function symbol() public view override returns (string memory) {
        return ShortStrings.toString(_shortSymbol);
    }

    /// @notice Digits after the point: the scale of the city's ledger.
    function decimals() public view override returns (uint8) {
        return _decimals;
    }

    /// @notice What never changes: most minor units in circulation here; most by which the claimable total rises in one
    /// period; the length of a period and the shortest delay in seconds.
    function limits()
        external
        view
        returns (uint96 supplyCap, uint96 increaseLimit, uint32 period, uint32 minimumDelay)
    {
        return (_supplyCap, _increaseLimit, _period, _minimumDelay);
    }

    /// @notice The newest anchor; size 0 while there is none. Earlier ones stand in the events.
    function anchored() external view returns (uint48 size, bytes32 root) {
        return (uint48(_anchoredSizes), _anchoredRoot);
    }

    /// @notice The claims that can be claimed: their root, zero while there are none, and their total.
    function active() external view returns (bytes32 claimsRoot, uint96 total) {
        return (_activeRoot, _activeTotal);
    }

    /// @notice The latest proposal: its id (0: never any), what it proposes, and from when it can be activated; `activeAt`
    /// is zero once it does not wait any more.
    function proposal()
        external
        view
        returns (uint48 id, bytes32 claimsRoot, uint96 total, uint48 atSize, uint48 activeAt)
    {
        return (_proposalCount, _proposedRoot, _proposedTotal, _proposedAtSize, _proposedActiveAt);
    }

    /// @notice All that was ever claimed and deposited, in minor units, and the number of deposits.
    function totals() external view returns (uint96 claimedTotal, uint96 depositedTotal, uint64 depositCount) {
        return (_claimedTotal, _depositedTotal, _depositCount);
    }

    /// @notice All that an account has claimed so far, in minor units.
    function claimed(address account) external view returns (uint256) {
        return _claimed[account];
    }

    /// @dev A leaf of StandardMerkleTree: hashed twice, so that no pair of nodes passes for one; for this chain and this
    /// contract alone.
    function _leaf(address account, uint96 cumulative) private view returns (bytes32 leaf) {
        leaf = keccak256(abi.encode(block.chainid, address(this), account, cumulative));
        assembly ("memory-safe") {
            mstore(0, leaf)
            leaf := keccak256(0, 32)
        }
    }

    /// @dev The time from which the proposal `id` may be activated; reverts unless it waits.
    function _requirePending(uint48 id) private view returns (uint48 activeAt) {
        activeAt = _proposedActiveAt;
        if (activeAt == 0 || id != _proposalCount) revert NotPending();
    }

    /// @dev Whether the anchored history is a prefix of the given one.
    function _extends(uint48 oldSize, uint48 size, bytes32 root, bytes32[] calldata proof) private view returns (bool) {
        return ConsistencyProof.isPrefix(oldSize, _anchoredRoot, size, root, proof);
    }

    /// @dev Whether one of the last four anchors has this size. Zero never does: no anchor is of nothing, and the loop
    /// ends where there are no more.
    function _isAnchored(uint48 size) private view returns (bool) {
        for (uint256 sizes = _anchoredSizes; sizes != 0; sizes >>= 48) {
            if (uint48(sizes) == size) return true;
        }
        return false;
    }
}
