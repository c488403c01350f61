package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"livego/internal/api"
	"livego/internal/config"
)

// keyStore is where a key command works.
type keyStore struct {
	api.Keys
	where string // for people
	close func() error
}

// maxKeyLine bounds what is read from the standard input as a key.
const maxKeyLine = 1 << 10

func newKeyCommand(p program) *cobra.Command {
	group := &cobra.Command{
		Use:   "key get|set|reset|delete ROOM",
		Short: "show and change the channel keys of rooms",
		Long: "Shows and changes channel keys, through the API of the server that runs on this machine. If none runs, the keys file is\n" +
			"opened directly; with redis_addr the work is done in Redis. Only the key goes to the standard output.",
		DisableFlagsInUseLine: true,
		Args:                  func(cmd *cobra.Command, _ []string) error { return usageError{fmt.Errorf("write %s", cmd.UseLine())} },
		RunE:                  func(*cobra.Command, []string) error { return nil },
	}
	var keep bool
	reset := p.keyCommand("reset ROOM", "give a room a new key and disconnect the publisher on the old one", 1,
		func(ctx context.Context, store keyStore, room string, _ []string) (string, string, error) {
			key, err := store.Reset(ctx, room, keep)
			return key, "new key for room %q (%s)", err
		})
	del := p.keyCommand("delete ROOM", "forget a room and its key and disconnect its publisher", 1,
		func(ctx context.Context, store keyStore, room string, _ []string) (string, string, error) {
			return "", "deleted room %q and its key (%s)", store.Delete(ctx, room, keep)
		})
	for _, cmd := range []*cobra.Command{reset, del} {
		cmd.Flags().BoolVar(&keep, "keep", false, "leave the publisher on air")
	}
	group.AddCommand(
		p.keyCommand("get ROOM", "show the key of a room; a room without one gets a new one", 1,
			func(ctx context.Context, store keyStore, room string, _ []string) (string, string, error) {
				key, err := store.Get(ctx, room)
				return key, "key of room %q (%s)", err
			}),
		p.keyCommand("set ROOM [KEY]", "give a room a key of your own; without KEY it is read from the standard input", 2, p.setKey),
		reset,
		del,
	)
	return group
}

// keyAction returns the key to show, if any, and a format for what was done to the room and where.
type keyAction func(ctx context.Context, store keyStore, room string, more []string) (key, done string, err error)

func (p program) keyCommand(use, short string, most int, action keyAction) *cobra.Command {
	return &cobra.Command{
		Use:                   use,
		Short:                 short,
		DisableFlagsInUseLine: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > most {
				return usageError{fmt.Errorf("write %s", cmd.UseLine())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			cfg, _, err := p.load(cmd)
			if err != nil {
				return err
			}
			store, err := openKeyStore(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, store.close()) }()
			key, done, err := action(cmd.Context(), store, args[0], args[1:])
			if err != nil {
				return fmt.Errorf("%w (%s)", err, store.where)
			}
			fmt.Fprintf(p.stderr, done+"\n", args[0], store.where)
			if key != "" {
				fmt.Fprintln(p.stdout, key)
			}
			return nil
		},
	}
}

func (p program) setKey(ctx context.Context, store keyStore, room string, more []string) (string, string, error) {
	const done = "set the key of room %q (%s)"
	if len(more) > 0 {
		return more[0], done, store.Set(ctx, room, more[0])
	}
	line, err := bufio.NewReader(io.LimitReader(p.stdin, maxKeyLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", done, fmt.Errorf("reading the key from the standard input: %w", err)
	}
	key := strings.TrimSpace(line)
	return key, done, store.Set(ctx, room, key)
}

// openKeyStore finds where the keys are: in Redis, with the server that runs here, or, if none
// runs, in the file.
func openKeyStore(ctx context.Context, cfg config.Config) (keyStore, error) {
	if cfg.Store.RedisAddr != "" {
		store, err := openKeys(cfg, nil)
		if err != nil {
			return keyStore{}, err
		}
		return keyStore{store, "in Redis", store.Close}, nil
	}
	if cfg.APIAddr != "" {
		remote, err := findServer(ctx, cfg)
		if err == nil {
			return keyStore{remoteKeys{remote}, "through the server at " + remote.base, func() error { return nil }}, nil
		}
		if !errors.Is(err, errNoServer) {
			return keyStore{}, err
		}
	}
	store, err := openKeys(cfg, nil)
	if err != nil {
		return keyStore{}, fmt.Errorf("no server answers on api_addr %q, and: %w", cfg.APIAddr, err)
	}
	file, err := filepath.Abs(cfg.KeysFile())
	if err != nil {
		file = cfg.KeysFile()
	}
	return keyStore{store, "no server runs, in " + file, store.Close}, nil
}
