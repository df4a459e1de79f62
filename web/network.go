package web

import (
	"context"
	"net"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"souk/api"
)

// registerNetwork mounts the operation that says where browsers can be peers.
func (v *virtual) registerNetwork(h huma.API) {
	get(h, "getNetwork", "/network", "Whether browsers can be peers of the network by this server, and where", v.network)
}

func (v *virtual) network(context.Context, *Nothing) (*Reply[api.Network], error) {
	return &Reply[api.Network]{v.server.offered()}, nil
}

// offered is what the operator's peer says of itself, in the form of an answer.
func (s *Server) offered() api.Network {
	var n api.Network
	if s.config.Network != nil {
		n = s.config.Network()
	}
	addresses := []string{}
	for _, a := range n.Addresses {
		if forBrowsers(a) && len(addresses) < mostAddresses {
			addresses = append(addresses, a)
		}
	}
	if n.Addresses = addresses; len(addresses) == 0 {
		return api.Network{Addresses: addresses}
	}
	n.Offered = true
	return n
}

// mostAddresses is how many addresses of its peer a server tells.
const mostAddresses = 16

// forBrowsers tells whether a multiaddr is one that browsers dial, and names the peer: by
// WebSocket, or by WebRTC with the hash of a certificate.
func forBrowsers(addr string) bool {
	name := strings.LastIndex(addr, "/p2p/")
	if name < 0 || strings.Contains(addr[:name], "/p2p") {
		return false
	}
	where := addr[:name]
	return strings.HasSuffix(where, "/ws") || strings.HasSuffix(where, "/wss") || strings.Contains(where, "/webrtc-direct/certhash/")
}

// sockets are the origins of WebSockets among the addresses of a peer, as a policy names
// them (H-131). WebRTC needs none.
func sockets(addresses []string) []string {
	var list []string
	for _, a := range addresses {
		parts := strings.Split(a, "/")
		if len(parts) < 6 || parts[3] != "tcp" {
			continue
		}
		where := net.JoinHostPort(parts[2], parts[4])
		switch parts[5] {
		case "ws":
			list = append(list, "ws://"+where)
		case "wss", "tls":
			list = append(list, "wss://"+where)
		}
	}
	return list
}
