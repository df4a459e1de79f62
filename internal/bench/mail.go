package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"souk/identity"
	"souk/mail"
)

// mail measures what a message costs whoever it is not for: here, once its stamp is checked,
// a look into the table of somebody with a thousand contacts; in Bitmessage a trial
// decryption for each identity. Also what comes before: the check, the stamp's own part of it.
func (r *run) mail() error {
	const contacts, messages = 1000, 64
	me, err := mail.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	table := mail.NewTable()
	for i := range uint32(contacts) {
		other, err := mail.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		pair, err := mail.NewPair(me, other.Public())
		if err != nil {
			return err
		}
		table.PutPair(i, pair, mail.Incoming{Next: mail.Window})
	}
	envelopes, objects, err := foreignMail(messages)
	if err != nil {
		return err
	}
	own, err := btcec.NewPrivateKey()
	if err != nil {
		return err
	}
	mine := 0
	tag := perCall(2_000_000, func(i int) {
		if _, ok := table.Look(mail.Tag(envelopes[i%messages][3:19])); ok {
			mine++
		}
	})
	trial := perCall(5_000, func(i int) {
		if tryBitmessage(own, objects[i%messages]) {
			mine++
		}
	})
	check := perCall(50_000, func(i int) {
		_, drop := mail.Check(envelopes[i%messages], 1, mail.Price{}, func(mail.Hour, mail.Tag, mail.ID) bool { return false })
		if drop != mail.Kept {
			mine++
		}
	})
	stamp := perCall(500_000, func(i int) { mail.Stamped(mail.ID{}, uint64(i), 0) })
	if mine > 0 {
		return fmt.Errorf("%d messages of strangers are taken for one's own", mine)
	}
	r.set("mail_tags", table.Len())
	r.set("mail_foreign_us", tag)
	r.set("mail_bitmessage_trial_us", trial)
	r.set("mail_check_us", check)
	r.set("mail_stamp_us", stamp)
	return nil
}

// perCall is the processor time of a call in microseconds.
func perCall(n int, call func(i int)) float64 {
	begin := cpu()
	for i := range n {
		call(i)
	}
	return float64(cpu()-begin) / float64(time.Microsecond) / float64(n)
}

// foreignMail makes small envelopes between strangers, and what of a Bitmessage object of
// the same size is looked at by who is not its reader: an initialization vector, a key, text, a MAC.
func foreignMail(n int) (envelopes, objects [][]byte, err error) {
	seed, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	for i := range n {
		key, err := mail.GenerateKey(rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		from := &mail.Writer{Identity: seed, Key: key}
		at := mail.Address{Kind: mail.Tagged, Tag: mail.Tag{0: 1, 15: byte(i)}}
		data, err := mail.Seal(rand.Reader, from, from.Reader(), at, mail.Retention, &mail.Letter{Kind: mail.Written})
		if err != nil {
			return nil, nil, err
		}
		ephemeral, err := btcec.NewPrivateKey()
		if err != nil {
			return nil, nil, err
		}
		reader, err := btcec.NewPrivateKey()
		if err != nil {
			return nil, nil, err
		}
		object := append(make([]byte, 16), ephemeral.PubKey().SerializeUncompressed()...)
		object = append(object, data...)
		envelopes = append(envelopes, data)
		objects = append(objects, append(object, bitmessageMAC(ephemeral, reader.PubKey(), object)...))
	}
	return envelopes, objects, nil
}

func bitmessageMAC(own *btcec.PrivateKey, other *btcec.PublicKey, data []byte) []byte {
	keys := sha512.Sum512(btcec.GenerateSharedSecret(own, other))
	mac := hmac.New(sha256.New, keys[32:])
	mac.Write(data)
	return mac.Sum(nil)
}

// tryBitmessage is what every identity does with every object.
func tryBitmessage(own *btcec.PrivateKey, object []byte) bool {
	ephemeral, err := btcec.ParsePubKey(object[16 : 16+65])
	if err != nil {
		return false
	}
	end := len(object) - sha256.Size
	return hmac.Equal(bitmessageMAC(own, ephemeral, object[:end]), object[end:])
}
