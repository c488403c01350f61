package rtmp

import (
	"crypto/hmac"
	"crypto/sha256"
)

// The digest handshake is not in the RTMP specification. Flash Player and Flash Media Server put an
// HMAC-SHA256 of the rest of C1 and S1 somewhere into their random bytes, and sign each other's
// digest in S2 and C2. Clients that use it refuse a server that does not answer with it. The keys
// are public since 2009; all implementations share them.

const digestSize = sha256.Size

// The first part of each key signs C1 or S1, the whole key C2 or S2.
const (
	playerKeyPart = 30
	serverKeyPart = 36
)

func playerKey() []byte { return append([]byte("Genuine Adobe Flash Player 001"), keyTail[:]...) }

func serverKey() []byte { return append([]byte("Genuine Adobe Flash Media Server 001"), keyTail[:]...) }

var keyTail = [32]byte{
	0xF0, 0xEE, 0xC2, 0x4A, 0x80, 0x68, 0xBE, 0xE8, 0x2E, 0x00, 0xD0, 0xD1, 0x02, 0x9E, 0x7E, 0x57,
	0x6E, 0xEC, 0x5D, 0x2D, 0x29, 0x80, 0x6F, 0xAB, 0x93, 0xB8, 0xE6, 0x36, 0xCF, 0xEB, 0x31, 0xAE,
}

// digestScheme says where in C1 or S1 the digest is: behind four bytes at this index, whose sum
// chooses the place within the next 728 bytes.
type digestScheme int

const (
	scheme0 digestScheme = 8
	scheme1 digestScheme = 772

	digestRoom = 728
)

// offset returns the index of the digest in p, which is a C1 or S1. The digest lies within p
// whatever p holds: it begins at 772+4+727 at most.
func (s digestScheme) offset(p []byte) int {
	sum := int(p[s]) + int(p[s+1]) + int(p[s+2]) + int(p[s+3])
	return sum%digestRoom + int(s) + 4
}

// sum returns the digest of p: of all its bytes but those of the digest itself.
func (s digestScheme) sum(p, key []byte) []byte {
	at := s.offset(p)
	return hmacSum(key, p[:at], p[at+digestSize:])
}

// find returns the scheme whose digest in p fits, and the digest.
func findDigest(p, key []byte) (s digestScheme, digest []byte, ok bool) {
	for _, s := range [...]digestScheme{scheme1, scheme0} {
		at := s.offset(p)
		digest := p[at : at+digestSize]
		if hmac.Equal(digest, s.sum(p, key)) {
			return s, digest, true
		}
	}
	return 0, nil, false
}

// sign puts the digest into p.
func (s digestScheme) sign(p, key []byte) { copy(p[s.offset(p):], s.sum(p, key)) }

// answerDigest fills p, a C2 or S2, whose last bytes sign the peer's digest with a key derived from
// it.
func answerDigest(p, peerDigest, key []byte) {
	at := len(p) - digestSize
	copy(p[at:], hmacSum(hmacSum(key, peerDigest), p[:at]))
}

func hmacSum(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
