package auth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// MinSecret is the least length of a secret in bytes: 128 bits cannot be guessed from a
	// captured token.
	MinSecret = 16
	// leeway is how far the clocks of caller and server may differ.
	leeway = 10 * time.Second
	// maxToken is far above any token that makes sense, in bytes.
	maxToken = 8 << 10
)

// algorithms are the signing methods with a shared secret (RFC 7518 §3.2). Those with key pairs
// could never verify.
var algorithms = []string{"HS256", "HS384", "HS512"}

// errCritical: a token must be refused if it demands an extension that is not known here (RFC 7515
// §4.1.11). None is.
var errCritical = errors.New("the token demands extensions (crit) that are not known here")

// verifier checks the tokens of requests.
type verifier struct {
	secret []byte
	parser *jwt.Parser
}

func newVerifier(secret, algorithm string) (*verifier, error) {
	method, err := signingMethod(algorithm)
	if err != nil {
		return nil, err
	}
	return &verifier{
		secret: []byte(secret),
		parser: jwt.NewParser(jwt.WithValidMethods([]string{method.Alg()}), jwt.WithLeeway(leeway), jwt.WithIssuedAt()),
	}, nil
}

func signingMethod(algorithm string) (jwt.SigningMethod, error) {
	if algorithm == "" {
		algorithm = algorithms[0]
	}
	if !slices.Contains(algorithms, algorithm) {
		return nil, fmt.Errorf("jwt algorithm %q is not one of %s", algorithm, strings.Join(algorithms, ", "))
	}
	return jwt.GetSigningMethod(algorithm), nil
}

// check returns why the request's token is not good, or nothing. Only signature, exp, nbf and iat
// are looked at.
func (v *verifier) check(r *http.Request, headerOnly bool) string {
	token, reason := bearer(r, headerOnly)
	if reason != "" {
		return reason
	}
	if len(token) > maxToken {
		return "the token is too long"
	}
	_, err := v.parser.ParseWithClaims(token, jwt.MapClaims{}, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical {
			return nil, errCritical
		}
		return v.secret, nil
	})
	switch {
	case err == nil:
		return ""
	case errors.Is(err, jwt.ErrTokenExpired):
		return "the token has expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "the token is not valid yet"
	case errors.Is(err, errCritical):
		return errCritical.Error()
	case errors.Is(err, jwt.ErrTokenMalformed):
		return "the token is malformed"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "the token's signature or signing method is wrong"
	}
	return "the token is invalid"
}

// bearer takes the token from the Authorization header or else, as LiveGo does, from the query.
func bearer(r *http.Request, headerOnly bool) (token, reason string) {
	header := r.Header.Get("Authorization")
	if header == "" && headerOnly {
		return "", "a token is required: send Authorization: Bearer TOKEN"
	}
	if header == "" {
		if token = r.URL.Query().Get("jwt"); token == "" {
			reason = "a token is required: send Authorization: Bearer TOKEN, or the query parameter jwt"
		}
		return token, reason
	}
	scheme, token, ok := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", "the Authorization header must be Bearer TOKEN"
	}
	return token, ""
}

// NewToken signs a token that opens an API with this secret and algorithm for the given time.
func NewToken(secret, algorithm string, life time.Duration) (string, error) {
	method, err := signingMethod(algorithm)
	if err != nil {
		return "", err
	}
	now := time.Now()
	claims := jwt.MapClaims{"iat": now.Unix(), "exp": now.Add(life).Unix()}
	token, err := jwt.NewWithClaims(method, claims).SignedString([]byte(secret))
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return token, nil
}
