package wallet

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// failureDelay is how long an answer to a wrong password waits, as bitcoind's does.
const failureDelay = 250 * time.Millisecond

// maxFailures is how many such answers wait at once; more passwords are not looked at.
const maxFailures = 64

// CookieUser is the user of the cookie file.
const CookieUser = "__cookie__"

// ErrUser is returned for a line that is no user with a salted password.
var ErrUser = errors.New("write a user as NAME:SALT$HASH, with the hash that bitcoind's rpcauth has: HMAC-SHA256 of the password, keyed with the salt, in hexadecimal")

// Users are who may ask: users with salted passwords, and whoever can read the cookie file.
type Users struct {
	list   []user
	cookie string // file; empty: none
	slots  chan struct{}
}

type user struct{ name, salt, hash string }

// NewUsers reads lines NAME:SALT$HASH, and writes a new password into a cookie file that
// only its owner can read; no file if the path is empty.
func NewUsers(lines []string, cookie string) (*Users, error) {
	u := &Users{cookie: cookie, slots: make(chan struct{}, maxFailures)}
	for _, line := range lines {
		name, rest, ok := strings.Cut(line, ":")
		salt, hash, ok2 := strings.Cut(rest, "$")
		if sum, err := hex.DecodeString(hash); !ok || !ok2 || name == "" || salt == "" || err != nil || len(sum) != sha256.Size || name == CookieUser {
			return nil, ErrUser
		}
		u.list = append(u.list, user{name, salt, strings.ToLower(hash)})
	}
	if cookie == "" {
		return u, nil
	}
	secret := make([]byte, sha256.Size)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("make the cookie: %w", err)
	}
	password := hex.EncodeToString(secret)
	salt := rand.Text()
	u.list = append(u.list, user{CookieUser, salt, hashOf(salt, password)})
	f, err := os.CreateTemp(filepath.Dir(cookie), ".cookie-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("write the cookie: %w", err)
	}
	_, err = f.WriteString(CookieUser + ":" + password)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), cookie)
	}
	if err != nil {
		return nil, fmt.Errorf("write the cookie: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return u, nil
}

// Close takes the cookie file away.
func (u *Users) Close() error {
	if u.cookie == "" {
		return nil
	}
	return os.Remove(u.cookie)
}

// SaltedPassword is a line for NewUsers.
func SaltedPassword(name, password string) string {
	salt := strings.ToLower(rand.Text())
	return name + ":" + salt + "$" + hashOf(salt, password)
}

func hashOf(salt, password string) string {
	m := hmac.New(sha256.New, []byte(salt))
	m.Write([]byte(password))
	return hex.EncodeToString(m.Sum(nil))
}

// knows compares with every user, in a time that tells nothing.
func (u *Users) knows(name, password string) bool {
	found := 0
	for i := range u.list {
		x := &u.list[i]
		same := subtle.ConstantTimeCompare([]byte(x.name), []byte(name))
		found |= same & subtle.ConstantTimeCompare([]byte(x.hash), []byte(hashOf(x.salt, password)))
	}
	return found == 1
}

// admit answers those who may not ask. Of passwords that people choose no more are compared in a
// second than wrong ones can wait for their answers, whoever guesses them; the cookie's has no
// such bound, so that whoever can read the file is let in all the while (J-41).
func (u *Users) admit(w http.ResponseWriter, r *http.Request) bool {
	name, password, given := r.BasicAuth()
	if !given || name == CookieUser {
		if given && u.knows(name, password) {
			return true
		}
		unknown(w)
		return false
	}
	select {
	case u.slots <- struct{}{}:
		defer func() { <-u.slots }()
	default:
		busy(w)
		return false
	}
	if u.knows(name, password) {
		return true
	}
	timer := time.NewTimer(failureDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		<-timer.C // who does not wait for the answer guesses no faster
	}
	unknown(w)
	return false
}

func unknown(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="jsonrpc"`)
	w.WriteHeader(http.StatusUnauthorized)
}
