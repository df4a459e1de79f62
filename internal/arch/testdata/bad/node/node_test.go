package node_test

import _ "souk/asset"
