package script

// Multisig is what a series puts into its scripts for keys that are derived already.
func Multisig(k uint8, keys [][33]byte) []byte { return appendMultisig(nil, k, keys) }

// Recoverable is the script of a series with a recovery, for derived keys.
var Recoverable = recoverable

// WitnessOutput is the output that pays to a script.
var WitnessOutput = witnessOutput

// ClaimMessage is what is signed for a claim.
func ClaimMessage(c Claim, k MemberKey) []byte { return c.message(&k) }
