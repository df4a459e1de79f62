package mail

// ParseInner reads what a wrap holds, and tells how long the encrypted letter in it is.
func ParseInner(plain []byte) (int, bool) {
	i, ok := parseInner(plain)
	if !ok {
		return 0, false
	}
	return len(i.closed), true
}
