// Package e2e tests what users and operators get: processes of the real binary,
// founded, driven, killed, stopped, cut off, starved of disk and refounded
// through the command line, HTTP, signals and the network between them.
//
// It has no code of its own. Its tests share a binary that is built once and the
// helpers of e2e_test.go; each file is one subject. Whole processes cost seconds,
// so the tests are left out with -short and in the second pass of make test,
// under the race detector, which does not reach into other processes. Those that
// mostly wait run two at a time, when the others are done (beside). -soak makes
// them longer: more rounds, more faults.
//
// It stands beside the floors.
package e2e
