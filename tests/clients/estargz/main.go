// An eStargz layer made, and read over HTTP ranges, by the library of the stargz snapshotter.
//
//	estargz build TAR LAYER
//	estargz read URL NAME...
//
// read prints the SHA-256 of each file, then the bytes that were received.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/containerd/stargz-snapshotter/estargz"
)

// chunk is what the snapshotter asks for at least at once, in bytes.
const chunk = 50_000

// remote is a blob that is read by ranges, a chunk at a time; the chunk asked for last is kept.
type remote struct {
	url      string
	size     int64
	begin    int64
	kept     []byte
	received int64
}

func (r *remote) get(first, last int64) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", first, last))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusPartialContent {
		return nil, fmt.Errorf("%s to bytes %d-%d", response.Status, first, last)
	}
	_, total, _ := strings.Cut(response.Header.Get("Content-Range"), "/")
	if r.size, err = strconv.ParseInt(total, 10, 64); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	r.received += int64(len(body))
	return body, err
}

// ReadAt is io.ReaderAt's.
func (r *remote) ReadAt(buffer []byte, offset int64) (int, error) {
	done := 0
	for done < len(buffer) && offset < r.size {
		if offset < r.begin || offset >= r.begin+int64(len(r.kept)) {
			last := min(offset+max(chunk, int64(len(buffer)-done)), r.size) - 1
			body, err := r.get(offset, last)
			if err != nil {
				return done, err
			}
			r.begin, r.kept = offset, body
		}
		count := copy(buffer[done:], r.kept[offset-r.begin:])
		done, offset = done+count, offset+int64(count)
	}
	if done < len(buffer) {
		return done, io.EOF
	}
	return done, nil
}

func build(source, layer string) error {
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	status, err := file.Stat()
	if err != nil {
		return err
	}
	made, err := estargz.Build(io.NewSectionReader(file, 0, status.Size()))
	if err != nil {
		return err
	}
	defer made.Close()
	out, err := os.Create(layer)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, made)
	return err
}

func read(url string, names []string) error {
	blob := &remote{url: url}
	// As the snapshotter: the size comes with the first two bytes.
	if _, err := blob.get(0, 1); err != nil {
		return err
	}
	layer, err := estargz.Open(io.NewSectionReader(blob, 0, blob.size))
	if err != nil {
		return err
	}
	for _, name := range names {
		file, err := layer.OpenFile(name)
		if err != nil {
			return err
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, file); err != nil {
			return err
		}
		fmt.Printf("%x\n", hash.Sum(nil))
	}
	fmt.Println(blob.received)
	return nil
}

func main() {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "build":
		err = build(os.Args[2], os.Args[3])
	case len(os.Args) > 3 && os.Args[1] == "read":
		err = read(os.Args[2], os.Args[3:])
	default:
		err = fmt.Errorf("estargz build TAR LAYER, or estargz read URL NAME...")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "estargz:", err)
		os.Exit(1)
	}
}
