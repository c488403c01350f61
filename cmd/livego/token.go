package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"livego/internal/auth"
	"livego/internal/config"
	"livego/internal/keys"
	"livego/internal/ticket"
)

// tokenWish is what the token command is asked for.
type tokenWish struct {
	paths       []string
	begin, last time.Duration
	ip, kid     string
	api         bool
}

func newTokenCommand(p program) *cobra.Command {
	var wish tokenWish
	cmd := &cobra.Command{
		Use:   "token --path APP/STREAM",
		Short: "make a token with which a viewer may watch, or with --api one for the API",
		Long: "Makes a token that is signed with one of viewer_keys, and writes it to the standard output. A viewer shows it in front of the\n" +
			"path, http://HOST:7002/~TOKEN/live/ROOM/, or as ?token=TOKEN. With --api it is signed with jwt.secret.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			make := makeToken
			if wish.api {
				make = makeAPIToken
			}
			token, err := make(cfg, wish, time.Now())
			if err != nil {
				return err
			}
			fmt.Fprintln(p.stdout, token)
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&wish.api, "api", false, "a token for the API, good for an hour if --for says nothing")
	f.StringArrayVar(&wish.paths, "path", nil, "stream that may be watched, such as live/movie, or live/* for all that begin so; may come several times")
	f.DurationVar(&wish.begin, "for", 0, "for how long watching may begin, such as 1h; 0: for good")
	f.DurationVar(&wish.last, "end", 0, "after how long watching must be over, such as 3h; 0: never")
	f.StringVar(&wish.ip, "ip", "", "the only address that may use it")
	f.StringVar(&wish.kid, "kid", "", "the key to sign with; empty: the first that can")
	return cmd
}

// apiTokenLife is how long a token for the API is good if nobody says.
const apiTokenLife = time.Hour

// makeAPIToken makes a token for the API.
func makeAPIToken(cfg config.Config, wish tokenWish, _ time.Time) (string, error) {
	if cfg.API.Secret == "" {
		return "", errors.New("without jwt.secret the API knows no tokens")
	}
	if wish.begin < 0 {
		return "", usageError{errors.New("times must not be negative")}
	}
	return auth.NewToken(cfg.API.Secret, cfg.API.Algorithm, cmp.Or(wish.begin, apiTokenLife))
}

// makeToken makes a token for a viewer.
func makeToken(cfg config.Config, wish tokenWish, now time.Time) (string, error) {
	want := ticket.Wanted{KeyID: wish.kid}
	if len(wish.paths) == 0 {
		return "", usageError{errors.New("name a stream, such as --path live/movie")}
	}
	for _, path := range wish.paths {
		path = strings.Trim(keys.Normal(path), "/")
		if !ticket.IsPath(path) {
			return "", usageError{fmt.Errorf("--path %q is not APP/STREAM or APP/*", path)}
		}
		want.Paths = append(want.Paths, path)
	}
	if wish.begin < 0 || wish.last < 0 {
		return "", usageError{errors.New("times must not be negative")}
	}
	if wish.begin > 0 {
		want.Start = now.Add(wish.begin)
	}
	if wish.last > 0 {
		want.End = now.Add(wish.last)
	}
	if wish.ip != "" {
		addr, err := netip.ParseAddr(wish.ip)
		if err != nil {
			return "", usageError{fmt.Errorf("--ip %q is not an address", wish.ip)}
		}
		want.Address = addr
	}
	checker, err := ticket.New(cfg.Tickets)
	if err != nil {
		return "", fmt.Errorf("viewer_keys: %w", err)
	}
	token, _, err := checker.Sign(want)
	if errors.Is(err, ticket.ErrNoKey) {
		return "", fmt.Errorf("%w: write viewer_keys into the configuration, with a secret or the file of a private key", err)
	}
	return token, err
}
