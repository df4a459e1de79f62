package web

import (
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"souk/api"
	"souk/exchange"
)

// Origin is the origin of a base URL, as browsers write it: the scheme, the host in lower
// case, and the port unless it is the scheme's own. It answers false for what is no URL of
// http or https with a plain host. Members choose their URLs, and origins stand in headers.
func Origin(base string) (string, bool) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	host, ok := plainHost(strings.ToLower(u.Hostname()))
	if !ok || strings.HasSuffix(u.Host, ":") {
		return "", false
	}
	port := u.Port()
	if port == "" {
		return u.Scheme + "://" + host, true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || n == 0:
		return "", false
	case n == 80 && u.Scheme == "http", n == 443 && u.Scheme == "https":
		return u.Scheme + "://" + host, true
	}
	return u.Scheme + "://" + host + ":" + strconv.FormatUint(n, 10), true
}

// plainHost is a host as it stands in an origin: an address, or a name of letters, digits
// and dashes. A name that browsers would read as an address is none.
func plainHost(host string) (string, bool) {
	if a, err := netip.ParseAddr(host); err == nil {
		switch {
		case a.Zone() != "" || a.Is4In6():
			return "", false
		case a.Is6():
			return "[" + a.String() + "]", true
		}
		return a.String(), true
	}
	if len(host) > 253 {
		return "", false
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.ContainsFunc(l, notOfName) {
			return "", false
		}
	}
	last := labels[len(labels)-1]
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || !strings.ContainsFunc(last, notDigit) {
		return "", false
	}
	return host, true
}

func notOfName(c rune) bool { return (c < 'a' || c > 'z') && notDigit(c) && c != '-' }

func notDigit(c rune) bool { return c < '0' || c > '9' }

// origins are those of a virtual server's members, as of a block.
type origins struct {
	mu     sync.Mutex
	height uint64
	list   []string
	own    string // of the member whose server this is; empty: it is none's, or there is no state
}

// origins are those of the members, and those that the operator has named: their pages may
// use this server (H-53).
func (v *virtual) origins() []string {
	list, _ := v.allOrigins()
	return list
}

// isOwnSecure tells whether a name is that of this server's own URL, and that is one of https.
func (s *Server) isOwnSecure(name string) bool {
	s.mu.RLock()
	all := slices.Collect(maps.Values(s.virtual))
	s.mu.RUnlock()
	return slices.ContainsFunc(all, func(v *virtual) bool {
		_, own := v.allOrigins()
		host, ok := strings.CutPrefix(own, "https://")
		host, _, _ = strings.Cut(host, ":") // a name has no colons
		return ok && host == name
	})
}

// allOrigins are those of origins, and this server's own.
func (v *virtual) allOrigins() (all []string, own string) {
	o := &v.memberOrigins
	o.mu.Lock()
	defer o.mu.Unlock()
	height := v.replica.Height()
	if o.list != nil && o.height == height {
		return o.list, o.own
	}
	var urls []string
	o.own = ""
	if err := v.replica.View(func(s *exchange.State) {
		for m := range s.Roster().Members {
			urls = append(urls, m.URL)
			if m.Consensus == v.self {
				o.own, _ = Origin(m.URL)
			}
		}
	}); err != nil {
		urls = v.founders
	}
	list := slices.Clone(v.server.config.Origins)
	for _, u := range urls {
		if origin, ok := Origin(u); ok && !slices.Contains(list, origin) {
			list = append(list, origin)
		}
	}
	o.list, o.height = list, height
	return list, o.own
}

// What pages of other origins may send and read. They never send cookies: there are none.
const (
	corsMethods = "GET, HEAD, POST"
	corsSends   = api.ReadHeader + ", " + api.AfterHeader + ", " + api.SilentHeader + ", Content-Type, " + api.LastEventHeader
	corsReads   = api.ServerHeader + ", " + api.MemberHeader + ", Retry-After"
	corsKept    = "600" // seconds
)

// admits tells whether a request is from a page of another origin that may use this server.
func (v *virtual) admits(r *http.Request) bool {
	from := r.Header.Values("Origin")
	return len(from) == 1 && slices.Contains(v.origins(), from[0])
}

// share says in the headers of a response whether a page of another origin may have it, and
// tells whether it may. What is no part of an interface is for nobody else.
func (s *Server) share(h http.Header, r *http.Request) bool {
	v := s.addressed(r.URL.Path)
	if v == nil {
		return false
	}
	h.Add("Vary", "Origin")
	if !v.admits(r) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Set("Access-Control-Expose-Headers", corsReads)
	return true
}

// pageList names the page's files with their hashes: pages of other members compare theirs
// with it (H-132).
const pageList = "/page.txt"

// addressed is the virtual server below whose /v1 a path is, or whose page's list it is; nil
// if there is none.
func (s *Server) addressed(path string) *virtual {
	v := s.root()
	if path == pageList {
		return v
	}
	if rest, ok := strings.CutPrefix(path, "/vs/"); ok {
		text, of, _ := strings.Cut(rest, "/")
		id, err := api.ParseServerID(text)
		if err != nil {
			return nil
		}
		v, _ = s.find(id)
		path = "/" + of
	}
	if !strings.HasPrefix(path, api.Prefix+"/") {
		return nil
	}
	return v
}

// preflight answers the question of a browser whether a page may send a request.
func preflight(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	label(w, "preflight")
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", corsSends)
	h.Set("Access-Control-Max-Age", corsKept)
	w.WriteHeader(http.StatusNoContent)
	return true
}
