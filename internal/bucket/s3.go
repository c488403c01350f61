package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	s3Scheme = "s3://"
	// defaultEndpoint is where a bucket is if its location does not say.
	defaultEndpoint = "s3.amazonaws.com"
	// callTimeout bounds a call: 64 MiB at 2 Mbit/s.
	callTimeout = 5 * time.Minute
	// idleTimeout bounds the wait for the head of an answer.
	idleTimeout = 30 * time.Second
)

// s3 is a bucket of Amazon's S3 or of what speaks like it.
type s3 struct {
	client *minio.Client
	bucket string
	prefix string // "" or with its last slash
}

var _ Bucket = (*s3)(nil)

// s3Location is a location taken apart.
type s3Location struct {
	bucket, prefix, endpoint, region string
	pathStyle, plain                 bool
}

// parseS3 reads "s3://BUCKET/PREFIX?endpoint=…&region=…&path_style=true". An endpoint may begin
// with http:// or https://; without, it is reached over TLS.
func parseS3(location string) (l s3Location, err error) {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return l, errors.New("the location must be s3://BUCKET/PREFIX?endpoint=…&region=…&path_style=true, without credentials")
	}
	l.bucket, l.prefix, l.endpoint = u.Host, strings.Trim(u.Path, "/"), defaultEndpoint
	for key, values := range u.Query() {
		v := values[len(values)-1]
		switch key {
		case "endpoint":
			l.endpoint = strings.TrimPrefix(v, "https://")
			if l.endpoint, l.plain = strings.CutPrefix(l.endpoint, "http://"); l.endpoint == "" {
				return l, errors.New("endpoint is empty")
			}
		case "region":
			l.region = v
		case "path_style":
			if l.pathStyle, err = strconv.ParseBool(v); err != nil {
				return l, errors.New("path_style must be true or false")
			}
		default:
			return l, fmt.Errorf("the location has the parameter %.40q; there are endpoint, region and path_style", key)
		}
	}
	if l.prefix != "" {
		if err := check(l.prefix); err != nil {
			return l, err
		}
		l.prefix += "/"
	}
	return l, nil
}

func openS3(location string) (Bucket, error) {
	l, err := parseS3(location)
	if err != nil {
		return nil, err
	}
	transport, err := minio.DefaultTransport(!l.plain)
	if err != nil {
		return nil, err
	}
	transport.ResponseHeaderTimeout = idleTimeout
	lookup := minio.BucketLookupAuto
	if l.pathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(l.endpoint, &minio.Options{
		Creds: chain(transport), Secure: !l.plain, Region: l.region, BucketLookup: lookup, Transport: transport,
		MaxRetries: 1, // who calls tries again
	})
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	return &s3{client: client, bucket: l.bucket, prefix: l.prefix}, nil
}

// chain takes credentials from the environment, then from a file, then from the role of the
// machine.
func chain(transport http.RoundTripper) *credentials.Credentials {
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.EnvMinio{}, &credentials.FileAWSCredentials{},
		&credentials.IAM{Client: &http.Client{Transport: transport, Timeout: idleTimeout}},
	})
}

// Put implements Bucket.
func (s *s3) Put(ctx context.Context, name, path string, as Meta) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return s.put(ctx, name, f, st.Size(), as)
}

// Write implements Bucket.
func (s *s3) Write(ctx context.Context, name string, data []byte, as Meta) error {
	return s.put(ctx, name, bytes.NewReader(data), int64(len(data)), as)
}

// put stores what has a size that is known, in one piece and with its checksum.
func (s *s3) put(ctx context.Context, name string, data io.Reader, size int64, as Meta) error {
	if err := check(name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.PutObject(ctx, s.bucket, s.prefix+name, data, size, minio.PutObjectOptions{
		ContentType: as.ContentType, CacheControl: as.CacheControl, SendContentMd5: true, DisableMultipart: true,
	})
	return said(err)
}

// Open implements Bucket.
func (s *s3) Open(ctx context.Context, name string) (*File, error) {
	if err := check(name); err != nil {
		return nil, err
	}
	o, err := s.client.GetObject(ctx, s.bucket, s.prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, said(err)
	}
	st, err := o.Stat()
	if err != nil {
		_ = o.Close()
		return nil, said(err)
	}
	return &File{ReadSeekCloser: o, Size: st.Size, Modified: st.LastModified}, nil
}

// Stat implements Bucket.
func (s *s3) Stat(ctx context.Context, name string) (int64, error) {
	if err := check(name); err != nil {
		return 0, err
	}
	st, err := s.client.StatObject(ctx, s.bucket, s.prefix+name, minio.StatObjectOptions{})
	return st.Size, said(err)
}

// List implements Bucket.
func (s *s3) List(ctx context.Context, folder string) (names []string, err error) {
	if err := check(folder); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx) // ends the listing
	defer cancel()
	for o := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + folder + "/"}) {
		if o.Err != nil {
			return nil, said(o.Err)
		}
		if !strings.HasSuffix(o.Key, "/") {
			names = append(names, path.Base(o.Key))
		}
	}
	return names, nil
}

// Remove implements Bucket: 1,000 files a call (DeleteObjects), or one by one where the server
// knows no such call.
func (s *s3) Remove(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := check(name); err != nil {
			return err
		}
	}
	if len(names) == 1 {
		return s.remove(ctx, names[0])
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	results, err := s.client.RemoveObjectsWithIter(ctx, s.bucket, func(yield func(minio.ObjectInfo) bool) {
		for _, name := range names {
			if !yield(minio.ObjectInfo{Key: s.prefix + name}) {
				return
			}
		}
	}, minio.RemoveObjectsOptions{})
	if err != nil {
		return err
	}
	removed := 0
	for r := range results {
		switch err := said(r.Err); {
		case err == nil, errors.Is(err, ErrNotFound):
			removed++
		case removed == 0 && unknown(err):
			return s.removeEach(ctx, names)
		default:
			return fmt.Errorf("%.80q: %w", strings.TrimPrefix(r.ObjectName, s.prefix), err)
		}
	}
	return context.Cause(ctx)
}

func (s *s3) removeEach(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := s.remove(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *s3) remove(ctx context.Context, name string) error {
	err := said(s.client.RemoveObject(ctx, s.bucket, s.prefix+name, minio.RemoveObjectOptions{}))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// unknown says that a server does not know a call.
func unknown(err error) bool {
	status := minio.ToErrorResponse(err).StatusCode
	return status == http.StatusNotImplemented || status == http.StatusMethodNotAllowed
}

// said makes ErrNotFound of what says so.
func said(err error) error {
	if err == nil {
		return nil
	}
	if r := minio.ToErrorResponse(err); r.StatusCode == http.StatusNotFound && r.Code != minio.NoSuchBucket {
		return fmt.Errorf("%w: %s", ErrNotFound, r.Code)
	}
	return err
}
