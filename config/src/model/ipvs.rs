//! `ipvs ...`: the kernel's balancer as a whole, and when it defends itself.

/// `ipvs ...`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpvsSettings {
    /// Seconds an established TCP connection may be idle, 900.
    pub timeout_tcp: u32,
    /// Seconds after FIN, 120.
    pub timeout_tcpfin: u32,
    /// Seconds a UDP flow may be idle, 300.
    pub timeout_udp: u32,
    /// log2 of the connection table's buckets, 8-27; absent: what fits the memory. Needs a reload.
    pub table_bits: Option<u8>,
    /// `ipvs conn-reuse-mode`: what a connection that reuses a client's port gets, 0-2 as the kernel numbers it. Default 1.
    pub conn_reuse_mode: u8,
    /// `ipvs expire-nodest-conn`.
    pub expire_nodest_conn: bool,
    /// `ipvs expire-quiescent-template`.
    pub expire_quiescent_template: bool,
    /// `ipvs sloppy-tcp`.
    pub sloppy_tcp: bool,
    /// `ipvs sloppy-sctp`.
    pub sloppy_sctp: bool,
    /// `ipvs schedule-icmp`.
    pub schedule_icmp: bool,
    /// `ipvs drop-entry [always]`.
    pub drop_entry: Option<Defence>,
    /// `ipvs drop-packet [always [RATE]]`: one packet of so many, 2-1000.
    pub drop_packet: Option<(Defence, u16)>,
    /// `ipvs secure-tcp [always]`: the table `tcp_states_dos` of ip_vs_proto_tcp.c. Timeouts stay what they are.
    pub secure_tcp: Option<Defence>,
    /// `ipvs memory-threshold`: megabytes that have to be free; absent: a twentieth of the memory.
    pub memory_threshold_mb: Option<u32>,
}

impl IpvsSettings {
    /// The kernel's own rate of `drop-packet always`.
    pub const DROP_RATE: u16 = 10;

    /// One packet of how many `drop-packet always` drops.
    #[must_use]
    pub fn drop_rate(&self) -> u16 {
        self.drop_packet.map_or(Self::DROP_RATE, |(_, rate)| rate)
    }
}

/// When the kernel defends itself against floods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defence {
    /// While memory is short.
    Auto,
    /// Whatever memory there is.
    Always,
}

impl Default for IpvsSettings {
    fn default() -> Self {
        Self {
            timeout_tcp: 900,
            timeout_tcpfin: 120,
            timeout_udp: 300,
            table_bits: None,
            conn_reuse_mode: 1,
            expire_nodest_conn: false,
            expire_quiescent_template: false,
            sloppy_tcp: false,
            sloppy_sctp: false,
            schedule_icmp: false,
            drop_entry: None,
            drop_packet: None,
            secure_tcp: None,
            memory_threshold_mb: None,
        }
    }
}
