package market

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
)

// Append appends the one encoding of the terms, as founding contracts and votes
// carry it.
func (t *Terms) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.Tick))
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.Lot))
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.MinNotional))
	dst = binary.BigEndian.AppendUint32(dst, t.MakerPPM)
	dst = binary.BigEndian.AppendUint32(dst, t.TakerPPM)
	dst = binary.BigEndian.AppendUint32(dst, t.ReservePPM)
	dst = binary.BigEndian.AppendUint32(dst, t.BandPPM)
	return binary.BigEndian.AppendUint64(dst, uint64(t.Reference))
}

// Read reads terms from the front of s. It does not judge them: Valid does.
func (t *Terms) Read(s *cryptobyte.String) bool {
	return s.ReadUint64((*uint64)(&t.Tick)) && s.ReadUint64((*uint64)(&t.Lot)) && s.ReadUint64((*uint64)(&t.MinNotional)) &&
		s.ReadUint32(&t.MakerPPM) && s.ReadUint32(&t.TakerPPM) && s.ReadUint32(&t.ReservePPM) && s.ReadUint32(&t.BandPPM) &&
		s.ReadUint64((*uint64)(&t.Reference))
}

// Valid tells whether a market can have these terms (M-1).
func (t *Terms) Valid() bool {
	return t.Tick > 0 && t.Tick <= MaxPrice && t.Lot > 0 && t.Lot <= asset.MaxSupply && t.MinNotional <= asset.MaxSupply &&
		t.MakerPPM <= MaxFeePPM && t.TakerPPM <= MaxFeePPM && t.ReservePPM <= 1_000_000 && t.BandPPM <= MaxBandPPM &&
		t.Reference > 0 && t.Reference <= MaxPrice && t.Reference%t.Tick == 0
}
