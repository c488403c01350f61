package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "livego/internal/api/v1"
	"livego/internal/config"
)

func newReloadCommand(p program) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "have the server that runs here read its configuration again",
		Long: "Has the server that runs on this machine read its configuration again, from where it was started. What can change while it runs is\n" +
			"taken over, what needs a new start is named. If anything is wrong with the configuration, nothing changes.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := p.running(cmd)
			if err != nil {
				return err
			}
			var done v1.Reloaded
			if err := r.resource(cmd.Context(), http.MethodPost, "/config/reload", &done); err != nil {
				return err
			}
			switch {
			case len(done.Taken)+len(done.Left) == 0:
				fmt.Fprintln(p.stdout, "nothing has changed")
			case len(done.Taken) > 0:
				fmt.Fprintln(p.stdout, "in force now:", strings.Join(done.Taken, ", "))
			}
			if len(done.Left) > 0 {
				fmt.Fprintln(p.stdout, "only with a new start:", strings.Join(done.Left, ", "))
			}
			return nil
		},
	}
}

// healthTimeout bounds the question of healthcheck: containers ask again and again.
const healthTimeout = 3 * time.Second

func newHealthCommand(p program) *cobra.Command {
	var ready bool
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "say by the exit code whether the server that runs here answers (for containers)",
		Long: "Asks the server on this machine for /healthz, or with --ready for /readyz, which fails while it ends. The exit code is 0 if it\n" +
			"is well, and 1 if not.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := p.load(cmd)
			if err != nil {
				// A server that runs goes on with what it read before: a file that is wrong by now
				// must not have it restarted.
				if cfg, err = p.loadWithoutFile(cmd); err != nil {
					return err
				}
			}
			r, err := serverOf(cfg)
			if err != nil {
				return err
			}
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), healthTimeout)
			defer cancel()
			status, body, err := r.send(ctx, http.MethodGet, path, nil)
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("%s answers %d: %.100s", path, status, body)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it takes new clients")
	return cmd
}

// loadWithoutFile reads flags and environment only.
func (p program) loadWithoutFile(cmd *cobra.Command) (config.Config, error) {
	cfg, _, err := config.Load(config.Sources{Flags: cmd.Flags(), Environ: p.environ, ReadFile: func(string) ([]byte, error) { return nil, nil }})
	return cfg, err
}

// running finds the server that runs on this machine.
func (p program) running(cmd *cobra.Command) (remote, error) {
	cfg, _, err := p.load(cmd)
	if err != nil {
		// The server runs by what it read before, and says itself what is wrong.
		if cfg, err = p.loadWithoutFile(cmd); err != nil {
			return remote{}, err
		}
	}
	r, err := findServer(cmd.Context(), cfg)
	if errors.Is(err, errNoServer) {
		err = fmt.Errorf("%w at %s (api_addr)", errNoServer, r.base)
	}
	return r, err
}

func newCompletionCommand(p program) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "write what completes commands and options in a shell",
		Long: "Writes a script to the standard output that completes livego's commands and options. Now:\n\n" +
			"  bash:        source <(livego completion bash)\n" +
			"  zsh:         source <(livego completion zsh)\n" +
			"  fish:        livego completion fish | source\n" +
			"  PowerShell:  livego completion powershell | Out-String | Invoke-Expression\n\n" +
			"For good: write it to /etc/bash_completion.d/livego, to a file _livego in a folder of $fpath, or to\n" +
			"~/.config/fish/completions/livego.fish.",
		DisableFlagsInUseLine: true,
		ValidArgs:             shells,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("write %s", cmd.UseLine())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(p.stdout, true)
			case "zsh":
				return root.GenZshCompletion(p.stdout)
			case "fish":
				return root.GenFishCompletion(p.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(p.stdout)
			}
			return usageError{fmt.Errorf("%q is not one of %s", args[0], strings.Join(shells, ", "))}
		},
	}
}
