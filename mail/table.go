package mail

// Use is what a tag that is looked for was given out for.
type Use uint8

// Uses of tags.
const (
	UseLetter  Use = iota // a letter of a contact
	UseReceipt            // a contact's receipt for a letter of mine
	UseReply              // a first letter under a reply tag of my card
	UseList               // a post to a list
)

// Expected is what an envelope with a certain tag will be.
type Expected struct {
	Use    Use
	Who    uint32 // which contact or list, by its owner's count
	Number uint64 // which letter; of a list: the hour
}

// Table is all tags that one mailbox looks for. To find out whether an envelope is for it
// takes one look, however many contacts there are. It belongs to one goroutine at a time.
type Table struct {
	tags map[Tag]Expected
}

// NewTable returns an empty one.
func NewTable() *Table { return &Table{tags: map[Tag]Expected{}} }

// Len is how many tags are looked for.
func (t *Table) Len() int { return len(t.tags) }

// Look tells what an envelope with a tag is, if it is for this mailbox.
func (t *Table) Look(tag Tag) (Expected, bool) {
	e, ok := t.tags[tag]
	return e, ok
}

// Put has a tag looked for.
func (t *Table) Put(tag Tag, e Expected) { t.tags[tag] = e }

// Remove has a tag not looked for any more.
func (t *Table) Remove(tag Tag) { delete(t.tags, tag) }

// PutPair has the letters of a contact looked for.
func (t *Table) PutPair(who uint32, p *Pair, in Incoming) {
	from, to := in.Range()
	for n := from; n < to; n++ {
		t.Put(p.InTag(n), Expected{Use: UseLetter, Who: who, Number: n})
	}
}

// RemovePair ends PutPair.
func (t *Table) RemovePair(p *Pair, in Incoming) {
	from, to := in.Range()
	for n := from; n < to; n++ {
		t.Remove(p.InTag(n))
	}
}

// Arrived slides a contact's window after the letter with a number was read.
func (t *Table) Arrived(who uint32, p *Pair, in *Incoming, n uint64) {
	if n < in.Next {
		return
	}
	from, to := in.Range()
	in.Next = n + 1
	newFrom, newTo := in.Range()
	for i := from; i < min(to, newFrom); i++ {
		t.Remove(p.InTag(i))
	}
	for i := max(to, newFrom); i < newTo; i++ {
		t.Put(p.InTag(i), Expected{Use: UseLetter, Who: who, Number: i})
	}
}

// PutList has the posts to a list looked for that are kept at an hour, and those that may
// come in the hours up to later.
func (t *Table) PutList(who uint32, l *List, from, to Hour) {
	for h := from + 1; h <= to+Retention; h++ {
		t.Put(l.Tag(h), Expected{Use: UseList, Who: who, Number: uint64(h)})
	}
}

// RemoveList ends PutList for what expires up to an hour.
func (t *Table) RemoveList(l *List, from, to Hour) {
	for h := from; h <= to; h++ {
		t.Remove(l.Tag(h))
	}
}
