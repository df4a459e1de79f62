// Package courier is a peer's part in the network: it runs membership and mail over a
// transport (docs/spec/23-peernet.md, docs/spec/24-mail.md).
//
// Membership: Members finds peers by several ways, measures them, keeps the nearest and a
// ring, exchanges terms and shuts out who lies (member.go; streams in memberlink.go, its disk
// and bans in memberdisk.go). What is said in a ring, and who may be in it, is for peernet.
//
// Mail: a Carrier listens, judges, keeps and hands on everybody's envelopes and answers those who were
// away (mailcarrier.go, mailkeep.go, mailsync.go, its messages in mailwire.go); a Mailbox is
// one identity's contacts, lists and letters (mailbox.go), what comes in mailin.go, what
// goes out in mailout.go, sealed on disk as maildisk.go and mailkeys.go have it. What an
// envelope is belongs to mail, how bytes travel to transport.
//
// Floor 3.
package courier
