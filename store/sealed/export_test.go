package sealed

import "os"

// WriteOn is Write on a file system whose syncs and links go through the given
// functions.
func WriteOn(sync func(*os.File) error, link func(old, path string) error, path, kind string, secret []byte, pass Passphrase) error {
	return write(disk{sync: sync, link: link}, path, kind, secret, pass, TestWork)
}

// Encode and Decode are the plaintext of a sealed file.
var (
	Encode = encode
	Decode = decode
)
