package config

import (
	"fmt"
	"slices"
	"strings"

	"livego/internal/event"
	"livego/internal/hook"
)

// hookURL is the address of a receiver; empty: none. It may hold a password and is not repeated.
func hookURL(p *string) value {
	parse := func(s string) error {
		if s != "" {
			if err := hook.CheckURL(s); err != nil {
				return fmt.Errorf("must be a URL such as https://example.org/hooks: %w", err)
			}
		}
		*p = s
		return nil
	}
	return value{kindText, parse, func() string { return shownURL(*p) }}
}

func shownURL(s string) string {
	if s == "" {
		return ""
	}
	return hook.Redact(s)
}

// hookURLs is a list of addresses of receivers.
func hookURLs(p *[]string) value {
	parse := func(s string) error {
		list := words(s)
		for _, word := range list {
			if err := hook.CheckURL(word); err != nil {
				return fmt.Errorf("must be URLs such as https://example.org/hooks: %w", err)
			}
		}
		*p = list
		return nil
	}
	return value{kindList, parse, func() string {
		var shown []string
		for _, address := range *p {
			shown = append(shown, shownURL(address))
		}
		return strings.Join(shown, ",")
	}}
}

// hookSecrets is one secret or several, with commas between them.
func hookSecrets(p *[]hook.Secret) value {
	parse := func(s string) error {
		all, err := parseSecrets(s)
		if err != nil {
			return err
		}
		*p = all
		return nil
	}
	return value{kindSecret, parse, func() string { return hidden(len(*p) > 0) }}
}

func parseSecrets(s string) (all []hook.Secret, err error) {
	for _, word := range words(s) {
		secret, err := hook.ParseSecret(word)
		if err != nil {
			return nil, err
		}
		all = append(all, secret)
	}
	return all, nil
}

// hookEvents is a list of types of event.
func hookEvents(p *[]event.Type) value {
	parse := func(s string) error {
		var list []event.Type
		for _, word := range words(s) {
			if !slices.Contains(event.Types(), event.Type(word)) {
				return fmt.Errorf("%q is not an event; there are %v", word, event.Types())
			}
			list = append(list, event.Type(word))
		}
		*p = list
		return nil
	}
	return value{kindList, parse, func() string { return strings.ReplaceAll(strings.Trim(fmt.Sprint(*p), "[]"), " ", ",") }}
}
