package irc

import (
	"souk/identity"
	"souk/transport"
)

// ParseOffer, ParseRealname and Realname open the readers of what others write.
func ParseOffer(text string, private bool) (string, bool) { return parseOffer(text, private) }

func ParseRealname(s string) (transport.ID, bool) { return parseRealname(s) }

func Realname(p transport.ID) string { return realname(p) }

// Answer answers a question on channel "#c" of "asker" to "nick" with zeros as nonce.
func Answer(key identity.PrivateKey, payload []byte) string {
	q := question{word: wordHere, channel: "#c", asker: "asker", nick: "nick"}
	return q.answer(key, payload)
}

// Read reads an answer to that question, as somebody with this nick gave it.
func Read(nick, text string) (transport.ID, []byte, error) {
	q := question{word: wordHere, channel: "#c", asker: "asker", nick: nick}
	return q.read(text)
}
