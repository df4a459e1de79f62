// Package courier is a peer's part in the network: it runs mail over a transport
// (docs/spec/24-mail.md).
//
// Mail: a Carrier listens, judges, keeps and hands on everybody's envelopes and answers those who were
// away (mailcarrier.go, mailkeep.go, mailsync.go, its messages in mailwire.go); a Mailbox is
// one identity's contacts, lists and letters (mailbox.go), what comes in mailin.go, what
// goes out in mailout.go, sealed on disk as maildisk.go and mailkeys.go have it. What an
// envelope is belongs to mail, how bytes travel to transport.
//
// Floor 3.
package courier
