package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"livego/internal/record"
)

func newRecordCommand(p program) *cobra.Command {
	group := &cobra.Command{
		Use:                   "record fix PLACE",
		Short:                 "repair recordings",
		DisableFlagsInUseLine: true,
		Args:                  func(cmd *cobra.Command, _ []string) error { return usageError{fmt.Errorf("write %s", cmd.UseLine())} },
		RunE:                  func(*cobra.Command, []string) error { return nil },
	}
	group.AddCommand(&cobra.Command{
		Use:   "fix PLACE",
		Short: "close a recording whose server is lost",
		Long: "Closes a recording whose server, with its data_dir, is lost: lists all segments that are there and ends its playlists. PLACE is the\n" +
			"folder of the recording, or s3://BUCKET/PATH?endpoint=…, as in record_to. No server may be writing to it.",
		DisableFlagsInUseLine: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("write %s", cmd.UseLine())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			rec, err := record.Fix(cmd.Context(), args[0])
			switch {
			case errors.Is(err, record.ErrComplete):
				fmt.Fprintf(p.stdout, "%s is complete already\n", rec.Stream)
				return nil
			case err != nil:
				return err
			}
			length := time.Duration(rec.Duration * float64(time.Second)).Round(time.Millisecond)
			fmt.Fprintf(p.stdout, "%s of %s is complete now: %v, %d bytes\n", rec.Stream, rec.Started.Format(time.RFC3339), length, rec.Bytes)
			return nil
		},
	})
	return group
}
