package server

import (
	"strings"
	"unicode/utf8"

	"livego/internal/keys"
)

const (
	// maxSaid bounds what is shown of a text of a client, in bytes.
	maxSaid = 64
	// maxShownURL bounds the URL of a session, in bytes.
	maxShownURL = 512
	// maxEscapes is how often text is looked at for percent-encoding, which may itself be encoded.
	maxEscapes = 3
)

// said returns a text of a client as it may be shown in logs and answers: cut, and without what
// could be a channel key, which people put into any field. All texts of clients are shown by it,
// but names of streams that are on air.
func said(text string) string { return cut(masked(text), maxSaid) }

// masked returns text without what could be a channel key.
func masked(text string) string { return keys.Mask(plain(text)) }

// plain undoes whatever a key could hide in.
func plain(text string) string {
	for range maxEscapes {
		before := text
		if text = unescaped(text); text == before {
			break
		}
	}
	return keys.Normal(strings.ToValidUTF8(text, "\uFFFD"))
}

// cut returns the beginning of a text that is too long, and says so.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return strings.Clone(text[:most]) + "…"
}

// shownURL is the URL of an RTMP session: the server and the query as the client has them, and the
// stream in place of what it gave for a name.
func shownURL(tcURL string, a address, stream string) string {
	text := "/" + a.app + "/" + stream
	if scheme, rest, ok := strings.Cut(tcURL, "://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		host = host[strings.LastIndexByte(host, '@')+1:]
		text = said(scheme) + "://" + cut(maskedHost(host), maxSaid) + text
	}
	return withQuery(text, a.query)
}

// maskedHost masks labels of a host's name that are as long as the keys made here. Shorter ones are
// common among hosts.
func maskedHost(host string) string {
	labels := strings.Split(plain(host), ".")
	for i, label := range labels {
		if len(label) >= longLabel {
			labels[i] = keys.Mask(label)
		}
	}
	return strings.Join(labels, ".")
}

const longLabel = 40

// withQuery adds a query without what could be a key, and without the token of a viewer.
func withQuery(text, query string) string {
	if query = withoutToken(query); query != "" {
		text += "?" + masked(query)
	}
	return cut(text, maxShownURL)
}
