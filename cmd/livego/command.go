package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"livego/internal/config"
)

// newRoot builds the command tree. Without a subcommand the server runs.
func newRoot(p program) *cobra.Command {
	root := &cobra.Command{
		Use:           "livego",
		Short:         "Live streaming server",
		Version:       versionText(),
		Args:          noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          p.serve,
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetVersionTemplate("livego {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetHelpFunc(help)
	root.CompletionOptions.DisableDefaultCmd = true
	config.AddFlags(root.PersistentFlags())

	root.AddCommand(
		newBenchCommand(p),
		newCheckCommand(p),
		newCompletionCommand(p),
		newDemoCommand(p),
		newHealthCommand(p),
		newKeyCommand(p),
		newRecordCommand(p),
		newReloadCommand(p),
		newStatusCommand(p),
		newTokenCommand(p),
	)
	// Subcommands take the server's flags too, in both spellings.
	root.SetGlobalNormalizationFunc(root.PersistentFlags().GetNormalizeFunc())
	return root
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasParent() {
		return usageError{fmt.Errorf("%s takes no arguments", cmd.CommandPath())}
	}
	return usageError{fmt.Errorf("unknown command %q", args[0])}
}

// help lists the options of the server by topic at the root, and at a subcommand only what belongs
// to it.
func help(cmd *cobra.Command, _ []string) {
	var b strings.Builder
	if cmd.HasParent() {
		fmt.Fprintf(&b, "%s\n\nUsage:\n  %s\n", cmp.Or(cmd.Long, cmd.Short), cmd.UseLine())
	} else {
		b.WriteString("livego is a live streaming server: publish over RTMP, watch over RTMP, HTTP-FLV, WebSocket-FLV and HLS.\n\nUsage:\n" +
			"  livego [flags]         run the server\n")
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-22s %s\n", strings.TrimPrefix(sub.CommandPath(), "livego "), sub.Short)
			}
		}
	}
	if cmd.HasParent() {
		if own := cmd.LocalFlags().FlagUsages(); own != "" {
			b.WriteString("\nFlags:\n" + own)
		}
		b.WriteString("\nThe flags of the server (livego --help) are taken too.\n")
	} else {
		b.WriteString("\nOptions, each a flag, an environment variable and a line of the configuration file; the first of these that is given holds.\n" +
			"Flags may be written with dashes too. Times are seconds or have a unit (1.5s), sizes are bytes or have one (64MiB).\n\n" +
			config.FlagHelp() + "\n  --version, --help\n")
	}
	fmt.Fprint(cmd.OutOrStdout(), b.String())
}

// load reads the configuration for a command.
func (p program) load(cmd *cobra.Command) (config.Config, []string, error) {
	cfg, warnings, err := config.Load(config.Sources{Flags: cmd.Flags(), Environ: p.environ})
	if err != nil {
		return cfg, warnings, fmt.Errorf("the configuration is wrong:\n%w", err)
	}
	return cfg, warnings, nil
}

func newCheckCommand(p program) *cobra.Command {
	return &cobra.Command{
		Use:   "check-config",
		Short: "say what is wrong with the configuration",
		Long:  "Reads flags, environment and file as the server would, loads the certificates, and says what is wrong.",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, warnings, err := p.load(cmd)
			for _, w := range warnings {
				fmt.Fprintln(p.stderr, "warning:", w)
			}
			if err != nil {
				return err
			}
			if err := cfg.CheckFiles(); err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s: ok\n", cmp.Or(cfg.File, "no configuration file, so the defaults hold"))
			return nil
		},
	}
}
