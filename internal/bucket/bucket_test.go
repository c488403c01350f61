package bucket

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// places returns a bucket of each kind, with what is below it.
func places(t *testing.T) map[string]Bucket {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	backend := s3mem.New()
	if err := backend.CreateBucket("recordings"); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(srv.Close)
	all := map[string]Bucket{}
	for name, location := range map[string]string{
		"folder": filepath.Join(t.TempDir(), "a", "b"),
		"s3":     "s3://recordings/some/where?endpoint=" + srv.URL + "&region=us-east-1&path_style=true",
	} {
		b, err := Open(location)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = b
	}
	return all
}

// TestContract is what all buckets do.
func TestContract(t *testing.T) {
	for kind, b := range places(t) {
		t.Run(kind, func(t *testing.T) {
			ctx := t.Context()
			read := func(name string) string {
				t.Helper()
				f, err := b.Open(ctx, name)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				data, err := io.ReadAll(f)
				if err != nil || int64(len(data)) != f.Size {
					t.Errorf("%d bytes of %d: %v", len(data), f.Size, err)
				}
				return string(data)
			}
			file := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(file, []byte("segment"), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // again is no error
				if err := b.Put(ctx, "live/movie/v0/1.m4s", file, Meta{ContentType: "video/mp4", CacheControl: "public"}); err != nil {
					t.Fatal(err)
				}
			}
			for _, text := range []string{"first", "the second is longer"} {
				if err := b.Write(ctx, "live/movie/index é 映画.m3u8", []byte(text), Meta{}); err != nil {
					t.Fatal(err)
				}
				if got := read("live/movie/index é 映画.m3u8"); got != text {
					t.Errorf("got %q, want %q", got, text)
				}
			}
			if got := read("live/movie/v0/1.m4s"); got != "segment" {
				t.Errorf("got %q", got)
			}
			if size, err := b.Stat(ctx, "live/movie/v0/1.m4s"); err != nil || size != 7 {
				t.Errorf("%d, %v", size, err)
			}
			if names, err := b.List(ctx, "live/movie"); err != nil || !slices.Equal(names, []string{"index é 映画.m3u8"}) {
				t.Errorf("%q, %v", names, err)
			}
			if names, err := b.List(ctx, "live/other"); err != nil || len(names) > 0 {
				t.Errorf("%q, %v", names, err)
			}
			f, err := b.Open(ctx, "live/movie/v0/1.m4s")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Seek(3, io.SeekStart); err != nil {
				t.Error(err)
			}
			if rest, err := io.ReadAll(f); string(rest) != "ment" || err != nil {
				t.Errorf("%q, %v", rest, err)
			}
			_ = f.Close()
			for range 2 {
				if err := b.Remove(ctx, "live/movie/v0/1.m4s"); err != nil {
					t.Error(err)
				}
			}
			var many []string
			for i := range 1001 { // one more than a call of S3 may name
				many = append(many, fmt.Sprintf("live/many/%d é.m4s", i))
			}
			for _, name := range []string{many[0], many[999], many[1000]} {
				if err := b.Write(ctx, name, []byte("x"), Meta{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Remove(ctx, many...); err != nil {
				t.Error(err)
			}
			if names, err := b.List(ctx, "live/many"); err != nil || len(names) > 0 {
				t.Errorf("%q are left, %v", names, err)
			}
			if err := b.Remove(ctx); err != nil {
				t.Error(err)
			}
			if b.Remove(ctx, "live/fine", "../not") == nil {
				t.Error("what is not a name is removed")
			}
			for _, name := range []string{"live/movie/v0/1.m4s", "live/none", "none/at/all"} {
				if _, err := b.Open(ctx, name); !errors.Is(err, ErrNotFound) {
					t.Errorf("opening %s: %v", name, err)
				}
				if _, err := b.Stat(ctx, name); !errors.Is(err, ErrNotFound) {
					t.Errorf("%s: %v", name, err)
				}
			}
			for _, name := range []string{"", "/a", "a/", "a//b", "..", "../a", "a/../b", "./a", "a/./b", strings.Repeat("a/", 600) + "a"} {
				if err := b.Write(ctx, name, nil, Meta{}); err == nil {
					t.Errorf("%.20q is taken for a name", name)
				}
				if _, err := b.Open(ctx, name); err == nil {
					t.Errorf("%.20q is taken for a name", name)
				}
			}
		})
	}
}

// TestRemoveCalls: many files go with few calls, and one by one where the server knows no other
// way.
func TestRemoveCalls(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	for name, knows := range map[string]bool{"it knows": true, "it does not know": false} {
		t.Run(name, func(t *testing.T) {
			backend := s3mem.New()
			if err := backend.CreateBucket("recordings"); err != nil {
				t.Fatal(err)
			}
			fake := gofakes3.New(backend).Server()
			var calls []string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost || r.Method == http.MethodDelete {
					calls = append(calls, r.Method)
				}
				if r.Method == http.MethodPost && !knows {
					w.WriteHeader(http.StatusNotImplemented)
					return
				}
				fake.ServeHTTP(w, r)
			}))
			defer srv.Close()
			b, err := Open("s3://recordings?endpoint=" + srv.URL + "&region=us-east-1&path_style=true")
			if err != nil {
				t.Fatal(err)
			}
			names := []string{"a/1", "a/2", "a/3"}
			for _, name := range names {
				if err := b.Write(t.Context(), name, []byte("x"), Meta{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Remove(t.Context(), names...); err != nil {
				t.Error(err)
			}
			if left, err := b.List(t.Context(), "a"); err != nil || len(left) > 0 {
				t.Errorf("%q are left, %v", left, err)
			}
			if knows && len(calls) != 1 || !knows && calls[len(calls)-1] != http.MethodDelete {
				t.Errorf("calls: %q", calls)
			}
		})
	}
}

// TestFolderIsEmpty: nothing is left of what was removed, and nothing else goes.
func TestFolderIsEmpty(t *testing.T) {
	dir := t.TempDir()
	b, err := Open(filepath.Join(dir, "recordings"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"live/movie/a/1", "live/other/a/1"} {
		if err := b.Write(t.Context(), name, []byte("x"), Meta{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Remove(t.Context(), "live/movie/a/1"); err != nil {
		t.Fatal(err)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "recordings", "live", "*")); len(found) != 1 {
		t.Errorf("%q", found)
	}
	_ = b.Remove(t.Context(), "live/other/a/1")
	if found, _ := filepath.Glob(filepath.Join(dir, "*")); len(found) != 1 {
		t.Errorf("%q", found)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "recordings", "*")); len(found) != 0 {
		t.Errorf("%q", found)
	}
}

func TestLocations(t *testing.T) {
	for location, want := range map[string]s3Location{
		"s3://b":          {bucket: "b", endpoint: "s3.amazonaws.com"},
		"s3://b/some/p/":  {bucket: "b", prefix: "some/p/", endpoint: "s3.amazonaws.com"},
		"s3://b?region=x": {bucket: "b", endpoint: "s3.amazonaws.com", region: "x"},
		"s3://b/p?endpoint=minio:9000&path_style=true":        {bucket: "b", prefix: "p/", endpoint: "minio:9000", pathStyle: true},
		"s3://b/p?endpoint=http://minio:9000&path_style=true": {bucket: "b", prefix: "p/", endpoint: "minio:9000", pathStyle: true, plain: true},
	} {
		if got, err := parseS3(location); err != nil || got != want {
			t.Errorf("%s: %+v, %v", location, got, err)
		}
	}
	for _, location := range []string{
		"s3://", "s3:///p", "s3://key:secret@b/p", "s3://b/../c", "s3://b?path_style=perhaps", "s3://b?key=x", "s3://b?endpoint=", "s3://b/%zz",
	} {
		if _, err := Open(location); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", location, err)
		}
	}
	if _, err := Open(""); err == nil {
		t.Error("no folder is a place")
	}
}
