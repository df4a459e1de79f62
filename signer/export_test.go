package signer

// Reread decodes a journal and encodes it again.
func Reread(data []byte) ([]byte, error) {
	b, err := decode(data)
	if err != nil {
		return nil, err
	}
	return b.encode(), nil
}
