package mail

// Drop is why an envelope is not carried.
type Drop uint8

// Reasons, in the order in which they are looked for: what is cheap to find comes first.
const (
	Kept        Drop = iota // none: it is carried
	DropSize                // not one of the three sizes
	DropForm                // not the one encoding of an envelope
	DropExpired             // nobody keeps it any more
	DropFuture              // it asks to be kept for too long
	DropKnown               // it is here already
	DropStamp               // the stamp is not worth what it asks for
	Drops                   // how many there are
)

// String is the reason in one word.
func (d Drop) String() string {
	switch d {
	case Kept:
		return "kept"
	case DropSize:
		return "size"
	case DropForm:
		return "form"
	case DropExpired:
		return "expired"
	case DropFuture:
		return "future"
	case DropKnown:
		return "known"
	case DropStamp:
		return "stamp"
	case Drops:
	}
	return "unknown"
}

// Guilty tells whether whoever passed such an envelope on could have known better. Expired
// ones and known ones come from honest peers too.
func (d Drop) Guilty() bool {
	return d == DropSize || d == DropForm || d == DropFuture || d == DropStamp
}

// Checked is an envelope that may be carried.
type Checked struct {
	Envelope
	ID ID
}

// Check judges an envelope that came over the network. known tells whether one is here
// already; it is asked after what costs nothing and before the stamp is hashed.
func Check(data []byte, now Hour, price Price, known func(Hour, Tag, ID) bool) (Checked, Drop) {
	if !sizeFits(len(data)) {
		return Checked{}, DropSize
	}
	e, err := ParseEnvelope(data)
	switch {
	case err != nil:
		return Checked{}, DropForm
	case e.Expiry <= now:
		return Checked{}, DropExpired
	case e.Expiry-now > Retention:
		return Checked{}, DropFuture
	}
	c := Checked{Envelope: e, ID: IDOf(data)}
	if known(e.Expiry, e.Tag, c.ID) {
		return c, DropKnown
	}
	if !Stamped(c.ID, e.Stamp, Target(price.Work(len(data), e.Expiry-now, e.Kind))) {
		return c, DropStamp
	}
	return c, Kept
}
