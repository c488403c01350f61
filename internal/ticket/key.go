// Package ticket signs and checks the tokens with which viewers watch: JSON Web Tokens (RFC 7519)
// that name a stream. It knows no protocol; where a token stands in a URL is the business of its
// caller.
package ticket

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// minSecret is the least length of a shared secret in bytes: as long as the output of SHA-256
	// (RFC 7518 §3.2).
	minSecret = 32
	// maxKeyFile bounds a file with a key, in bytes.
	maxKeyFile = 64 << 10
	// maxKeys bounds the keys of a server.
	maxKeys = 64
)

// ErrBadKey: a key of the configuration cannot be used.
var ErrBadKey = errors.New("bad viewer key")

// algorithms are those that a key may have. Each is bound to its key: a token says by its kid which
// key it means, and never how it is to be checked.
var algorithms = []string{"HS256", "HS384", "HS512", "ES256", "EdDSA", "RS256"}

// KeyOptions is one entry of the configuration.
type KeyOptions struct {
	// ID is the kid of tokens that are signed with it (RFC 7515 §4.1.4). Only a single key may do
	// without.
	ID string
	// Algorithm is HS256, HS384, HS512, ES256, EdDSA or RS256.
	Algorithm string
	// Secret is for HS*: at least 32 bytes. File is a PEM file for the others: a public key, or a
	// private one with which tokens can be made too.
	Secret, File string
}

// key is an entry that can be used.
type key struct {
	id     string
	method jwt.SigningMethod
	// verify and sign are what the method wants; sign is nil for a public key.
	verify, sign any
}

// newKey reads an entry.
func newKey(o KeyOptions) (key, error) {
	if !slices.Contains(algorithms, o.Algorithm) {
		return key{}, fmt.Errorf("%w: algorithm %q is not one of %s", ErrBadKey, o.Algorithm, strings.Join(algorithms, ", "))
	}
	k := key{id: o.ID, method: jwt.GetSigningMethod(o.Algorithm)}
	if strings.HasPrefix(o.Algorithm, "HS") {
		if len(o.Secret) < minSecret {
			return key{}, fmt.Errorf("%w: the secret has %d bytes, needs at least %d", ErrBadKey, len(o.Secret), minSecret)
		}
		if block, _ := pem.Decode([]byte(o.Secret)); block != nil {
			return key{}, fmt.Errorf("%w: the secret is a PEM key; name its algorithm and file", ErrBadKey)
		}
		k.verify, k.sign = []byte(o.Secret), []byte(o.Secret)
		return k, nil
	}
	text, err := readKeyFile(o.File)
	if err != nil {
		return key{}, err
	}
	if k.verify, k.sign, err = parsePEM(text); err != nil {
		return key{}, fmt.Errorf("%w: %s: %w", ErrBadKey, o.File, err)
	}
	// A signature tells whether the kind of key is that of the algorithm.
	if k.sign != nil {
		_, err = k.method.Sign("", k.sign)
	} else if err = k.method.Verify("", make([]byte, 64), k.verify); errors.Is(err, jwt.ErrInvalidKeyType) {
		err = fmt.Errorf("not a key for %s", o.Algorithm)
	} else {
		err = nil
	}
	if err != nil {
		return key{}, fmt.Errorf("%w: %s: %w", ErrBadKey, o.File, err)
	}
	return k, nil
}

func readKeyFile(name string) ([]byte, error) {
	if name == "" {
		return nil, fmt.Errorf("%w: it needs a PEM file", ErrBadKey)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrBadKey, name, maxKeyFile)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
	}
	return text, nil
}

// parsePEM reads a public key, a certificate, or a private key.
func parsePEM(text []byte) (public, private any, err error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, nil, errors.New("not a PEM file")
	}
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
		return public, nil, err
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, err
		}
		return certificate.PublicKey, nil, nil
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		err = fmt.Errorf("a PEM block of type %q", block.Type)
	}
	if err != nil {
		return nil, nil, err
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, nil, errors.New("not a key for signatures")
	}
	return signer.Public(), private, nil
}
