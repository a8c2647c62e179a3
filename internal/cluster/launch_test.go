package cluster_test

import (
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// mixed is of two types with weights.
func mixed() *cluster.Mixed {
	return &cluster.Mixed{
		Types:              []cluster.MixedType{{InstanceType: "t3.micro", Weight: 1}, {InstanceType: "t3.small", Weight: 2}},
		OnDemandPercentage: 50, OnDemandStrategy: cluster.Prioritized, SpotStrategy: cluster.PriceCapacityOptimized,
	}
}

func TestServers_Validate(t *testing.T) {
	root := func(o cluster.VolumeOptions) func(*cluster.Servers) {
		return func(s *cluster.Servers) { s.RootVolume = o }
	}
	volumes := func(all ...cluster.Volume) func(*cluster.Servers) {
		return func(s *cluster.Servers) { s.Volumes = all }
	}
	changed := func(change func(*cluster.Mixed)) func(*cluster.Servers) {
		return func(s *cluster.Servers) {
			s.Mixed = mixed()
			change(s.Mixed)
		}
	}
	gp3 := func(size, iops, throughput int32) func(*cluster.Servers) {
		return volumes(cluster.Volume{Device: "/dev/sdf", Size: size,
			VolumeOptions: cluster.VolumeOptions{Type: "gp3", IOPS: iops, Throughput: throughput}})
	}
	for name, tt := range map[string]struct {
		change func(*cluster.Servers)
		says   string // empty: it is valid
	}{
		"Nothing":        {func(*cluster.Servers) {}, ""},
		"HopLimit":       {func(s *cluster.Servers) { s.MetadataHopLimit = 64 }, ""},
		"HopLimitTooFar": {func(s *cluster.Servers) { s.MetadataHopLimit = 65 }, "metadata_hop_limit is 65, but 1 to 64"},
		"GP3": {root(cluster.VolumeOptions{
			Type: "gp3", IOPS: 80_000, Throughput: 2_000, Encrypted: true, KMSKeyID: "alias/web",
		}), ""},
		"Encrypted":        {root(cluster.VolumeOptions{Encrypted: true}), ""},
		"UnknownType":      {root(cluster.VolumeOptions{Type: "gp4"}), `root volume: there is no volume type "gp4": use one of gp2, gp3, io1`},
		"FewIOPS":          {root(cluster.VolumeOptions{Type: "gp3", IOPS: 2_999}), "the type gp3 allows 3000 to 80000 IOPS, not 2999"},
		"ManyIOPS":         {root(cluster.VolumeOptions{Type: "io1", IOPS: 64_001}), "the type io1 allows 100 to 64000 IOPS, not 64001"},
		"NoIOPS":           {root(cluster.VolumeOptions{Type: "io2"}), "a volume of the type io2 needs iops"},
		"IOPSOfGP2":        {root(cluster.VolumeOptions{Type: "gp2", IOPS: 3_000}), "iops need the type gp3, io1 or io2"},
		"IOPSWithoutType":  {root(cluster.VolumeOptions{IOPS: 3_000}), "iops need the type"},
		"ThroughputOfIO2":  {root(cluster.VolumeOptions{Type: "io2", IOPS: 100, Throughput: 125}), "a throughput needs the type gp3"},
		"LowThroughput":    {root(cluster.VolumeOptions{Type: "gp3", Throughput: 124}), "125 to 2000 MiB/s, not 124"},
		"KeyAlone":         {root(cluster.VolumeOptions{KMSKeyID: "alias/web"}), "kms_key_id needs encrypted = true"},
		"RootOnDisk":       {root(cluster.VolumeOptions{Type: "st1"}), "EC2 starts no server from a volume of the type st1"},
		"BaselineAlways":   {gp3(1, 3_000, 750), ""},
		"IOPSPerGiB":       {gp3(7, 4_000, 0), "volume /dev/sdf: the type gp3 allows 500 IOPS per GiB: 4000 IOPS need 8 GiB"},
		"ThroughputOfIOPS": {gp3(1, 0, 751), "a throughput of 751 MiB/s needs iops = 3004 or more"},
		"EnoughIOPS":       {gp3(16, 8_000, 2_000), ""},
		"TooLarge": {volumes(cluster.Volume{Device: "/dev/sdf", Size: 16_385, VolumeOptions: cluster.VolumeOptions{Type: "gp2"}}),
			"the type gp2 allows 1 to 16384 GiB, not 16385"},
		"TooSmall": {volumes(cluster.Volume{Device: "/dev/sdf", Size: 124, VolumeOptions: cluster.VolumeOptions{Type: "sc1"}}),
			"the type sc1 allows 125 to 16384 GiB"},
		"Snapshot": {volumes(cluster.Volume{Device: "/dev/sdf", SnapshotID: "snap-1"}), ""},
		"NoSize":   {volumes(cluster.Volume{Device: "/dev/sdf"}), "a volume needs a size or a snapshot_id"},
		"SnapshotEncrypted": {
			volumes(cluster.Volume{Device: "/dev/sdf", SnapshotID: "snap-1", VolumeOptions: cluster.VolumeOptions{Encrypted: true}}),
			"leave out encrypted and kms_key_id",
		},
		"Root":       {volumes(cluster.Volume{Device: "/dev/xvda", Size: 1}), "volume /dev/xvda: this is the name of a root device"},
		"NoDevice":   {volumes(cluster.Volume{Device: "upload", Size: 1}), "volume upload: this is not a valid device name"},
		"Names":      {volumes(cluster.Volume{Device: "/dev/xvdba", Size: 1}, cluster.Volume{Device: "xvdf", Size: 1}), ""},
		"Twice":      {volumes(cluster.Volume{Device: "/dev/sdf", Size: 1}, cluster.Volume{Device: "/dev/xvdf", Size: 1}), "the same device"},
		"OfTemplate": {func(s *cluster.Servers) { s.Template = &cluster.Template{}; s.Volumes = []cluster.Volume{{}} }, "exclude each other"},
		"Mixed":      {changed(func(*cluster.Mixed) {}), ""},
		"NoTypes":    {changed(func(m *cluster.Mixed) { m.Types = nil }), "mixed_instances: 1 to 40 instance types are needed, not 0"},
		"TooManyTypes": {changed(func(m *cluster.Mixed) {
			m.Types = make([]cluster.MixedType, 41)
		}), "1 to 40 instance types are needed, not 41"},
		"TypeTwice":   {changed(func(m *cluster.Mixed) { m.Types[1].InstanceType = "t3.micro" }), "t3.micro occurs twice"},
		"OneWeight":   {changed(func(m *cluster.Mixed) { m.Types[1].Weight = 0 }), "give all instance types a weight, or none"},
		"LargeWeight": {changed(func(m *cluster.Mixed) { m.Types[1].Weight = 1000 }), "the weight of t3.small is 1000, but 1 to 999"},
		"Percentage":  {changed(func(m *cluster.Mixed) { m.OnDemandPercentage = 101 }), "on_demand_percentage must be 0 to 100"},
		"Strategy": {changed(func(m *cluster.Mixed) { m.SpotStrategy = "diversified" }),
			"spot_allocation_strategy must be one of price-capacity"},
		"OnDemand": {changed(func(m *cluster.Mixed) { m.OnDemandStrategy = "x" }),
			"on_demand_allocation_strategy must be one of prioritized"},
		"Pools":        {changed(func(m *cluster.Mixed) { m.SpotPools = 2 }), "spot_instance_pools is 1 to 20, and allowed with"},
		"LowestPools":  {changed(func(m *cluster.Mixed) { m.SpotStrategy, m.SpotPools = cluster.LowestPrice, 20 }), ""},
		"TooManyPools": {changed(func(m *cluster.Mixed) { m.SpotStrategy, m.SpotPools = cluster.LowestPrice, 21 }), "1 to 20"},
		"Price":        {changed(func(m *cluster.Mixed) { m.SpotMaxPrice = "0.05" }), ""},
		"PriceTooLow":  {changed(func(m *cluster.Mixed) { m.SpotMaxPrice = "0.0009" }), "at least 0.001"},
		"PriceInWords": {changed(func(m *cluster.Mixed) { m.SpotMaxPrice = "$0.05" }), `spot_max_price is "$0.05", but a price`},
		"PriceAsPower": {changed(func(m *cluster.Mixed) { m.SpotMaxPrice = "5e-2" }), "but a price"},
	} {
		t.Run(name, func(t *testing.T) {
			s := cluster.Servers{InstanceType: "t3.micro"}
			tt.change(&s)
			if err := s.Validate(); (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error that says %q", err, tt.says)
			}
			spec := cluster.Spec{Servers: s}
			if err := spec.Validate(); tt.says != "" && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the specification does not validate its servers: %v", err)
			}
		})
	}
}

func TestServers_ValidateRootVolume(t *testing.T) {
	for name, tt := range map[string]struct {
		size, image, iops int32
		says              string
	}{
		"ImageSize":    {0, 8, 4_000, ""},
		"SmallImage":   {0, 7, 4_000, "4000 IOPS need 8 GiB"},
		"Larger":       {8, 7, 4_000, ""},
		"Smaller":      {7, 8, 0, "root_volume_size is 7 GiB, but the image needs at least 8"},
		"ImageUnknown": {0, 0, 4_000, ""},
	} {
		s := cluster.Servers{RootVolumeSize: tt.size, RootVolume: cluster.VolumeOptions{Type: "gp3", IOPS: tt.iops}}
		if err := s.ValidateRootVolume(tt.image); (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want an error that says %q", name, err, tt.says)
		}
	}
}

// A capacity in other units is converted; a capacity in the same ones never is.
func TestSpec_Equivalent(t *testing.T) {
	in := func(least, most int32, types ...cluster.MixedType) cluster.Spec {
		s := cluster.Spec{Size: cluster.Size{Min: least, Max: most}}
		if len(types) > 0 {
			s.Servers.Mixed = &cluster.Mixed{Types: types}
		}
		return s
	}
	one, four, five := cluster.MixedType{InstanceType: "a", Weight: 1}, cluster.MixedType{InstanceType: "a", Weight: 4},
		cluster.MixedType{InstanceType: "b", Weight: 5}
	for name, tt := range map[string]struct {
		from     cluster.Spec
		capacity int32
		to       cluster.Spec
		want     int32
	}{
		"Servers":           {in(1, 3), 7, in(10, 30), 7},
		"UnweightedTypes":   {in(1, 3), 7, in(10, 30, cluster.MixedType{InstanceType: "a"}), 7},
		"FurtherType":       {in(1, 3, four), 7, in(10, 30, four, five), 7},
		"OtherTypes":        {in(1, 3, four), 7, in(10, 30, five), 7},
		"WeightsNow":        {in(2, 10), 6, in(8, 40, four), 24},
		"WeightsNoMore":     {in(8, 40, four), 24, in(2, 10), 6},
		"WeightsChanged":    {in(2, 10, one), 6, in(8, 40, four), 24},
		"RoundedUp":         {in(0, 3), 1, in(0, 10, four), 4},
		"BelowTheBounds":    {in(2, 4), 0, in(8, 40, four), 8},
		"AboveTheBounds":    {in(2, 4), 9, in(8, 40, four), 40},
		"NoRange":           {in(2, 2), 2, in(8, 40, four), 8},
		"NoRangeAndAbove":   {in(2, 2), 3, in(8, 40, four), 8},
		"NothingIsRunning":  {in(0, 4), 0, in(0, 40, four), 0},
		"EverythingRunning": {in(0, 4), 4, in(0, 40, four), 40},
	} {
		if got := tt.to.Equivalent(tt.capacity, tt.from); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
}

func TestHealth_String(t *testing.T) {
	h := cluster.Health{Exists: true, Desired: 8, Healthy: 10, Weighted: true}
	if got, want := h.String(), "10 of 8 capacity units healthy"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	h.Weighted = false
	if got, want := h.String(), "10 of 8 servers healthy"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
