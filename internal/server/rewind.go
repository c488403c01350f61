package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"livego/internal/spool"
)

// openSpool opens the store of segments for rewinding, if there is to be one.
func (s *Server) openSpool() error {
	o := &s.opt
	if o.HLSDVRWindow <= 0 || o.HLSAddr == "" {
		return nil
	}
	begin := time.Now()
	store, err := spool.Open(spool.Options{
		Dir: o.HLSDVRDir, Window: o.HLSDVRWindow, MaxBytes: o.HLSDVRMaxBytes, Log: o.Log,
	})
	if errors.Is(err, spool.ErrInUse) {
		return fmt.Errorf("hls_dvr_window: %w: give each server a data_dir of its own", err)
	}
	if err != nil {
		return fmt.Errorf("hls_dvr_window: %w", err)
	}
	s.spool = store
	st := store.Stats()
	s.log.Info("segments for rewinding", "dir", o.HLSDVRDir, "segments", st.Segments, "bytes", st.Bytes, "took", time.Since(begin))
	return nil
}

// closeSpool writes what waits for the disk, until a time.
func (s *Server) closeSpool(until time.Time) {
	if s.spool == nil {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	if err := s.spool.Close(ctx); err != nil {
		s.log.Error("segments for rewinding are lost", "error", err)
	}
}
