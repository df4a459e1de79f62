package web

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forwardedFor is where a proxy writes, behind what stands there, whom it passes a request on for.
const forwardedFor = "X-Forwarded-For"

// unproxied is a request with the address that it counts for (H-56): its peer's or, if that is
// a trusted proxy which speaks for somebody, the last one named that is not such a proxy's.
// What stands before that one its sender may have made up. Everything behind the guard goes by
// RemoteAddr, the dialect too.
func (s *Server) unproxied(r *http.Request) *http.Request {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	said := r.Header.Values(forwardedFor)
	if err != nil || len(said) == 0 {
		return r
	}
	if !isIn(s.config.Proxies, peer.Addr()) {
		if peer.Addr().Unmap().IsLoopback() {
			s.alone.Do(func() {
				s.log.WarnContext(r.Context(), "a proxy on this machine passes requests on, and all of them count as this machine's own: name it in http.trusted_proxies")
			})
		}
		return r
	}
	from := peer.Addr()
	for _, text := range slices.Backward(strings.Split(strings.Join(said, ","), ",")) {
		a, ok := forwardedAddr(strings.TrimSpace(text))
		if !ok {
			break
		}
		if from = a; !isIn(s.config.Proxies, a) {
			break
		}
	}
	if from = from.Unmap().WithZone(""); from.IsLoopback() {
		from = netip.IPv4Unspecified() // somebody behind a proxy has none of what this machine itself may do
	}
	c := r.WithContext(r.Context())
	c.RemoteAddr = netip.AddrPortFrom(from, 0).String()
	return c
}

// forwardedAddr reads an address as proxies write it: some in brackets, some with a port.
func forwardedAddr(text string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")); err == nil {
		return a, true
	}
	a, err := netip.ParseAddrPort(text)
	return a.Addr(), err == nil
}

func isIn(list []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}
