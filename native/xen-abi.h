/*
 * Xen's public structs for x86, declared by us from the facts of its public headers (physdev.h, event_channel.h, domctl.h,
 * hvm_op.h, dm_op.h, version.h, xen.h). Included once per ABI, with these defined by the includer:
 *
 *   ABI(name)         the tag of a struct in this ABI
 *   ABI_U64           a 64-bit member of natural alignment: 8, for a 32-bit guest 4
 *   ABI_U64_ALIGNED   uint64_aligned_t: aligned to 8 everywhere
 *   ABI_LONG          unsigned long, frame numbers and guest handles
 *   ABI_PORT_WORDS    words of the 2-level bitmaps: 64 or 32
 *   ABI_ARCH_LONGS    longs of arch_vcpu_info: 2 or 6
 *
 * No include guard: that is the point.
 */

/* ---- physdev.h ---- */

struct ABI(physdev_eoi) {
    uint32_t irq;
};

struct ABI(physdev_pirq_eoi_gmfn) {
    ABI_LONG gmfn;
};

struct ABI(physdev_irq_status_query) {
    uint32_t irq;
    uint32_t flags;
};

struct ABI(physdev_set_iopl) {
    uint32_t iopl;
};

struct ABI(physdev_set_iobitmap) {
    ABI_LONG bitmap;
    uint32_t nr_ports;
};

struct ABI(physdev_apic) {
    ABI_LONG apic_physbase;
    uint32_t reg;
    uint32_t value;
};

struct ABI(physdev_irq) {
    uint32_t irq;
    uint32_t vector;
};

struct ABI(physdev_map_pirq) {
    uint16_t domid;
    int32_t type;
    int32_t index;
    int32_t pirq;
    int32_t bus;
    int32_t devfn;
    int32_t entry_nr;
    ABI_U64 table_base;
};

struct ABI(physdev_unmap_pirq) {
    uint16_t domid;
    int32_t pirq;
};

struct ABI(physdev_manage_pci) {
    uint8_t bus;
    uint8_t devfn;
};

struct ABI(physdev_restore_msi) {
    uint8_t bus;
    uint8_t devfn;
};

struct ABI(physfn) {
    uint8_t bus;
    uint8_t devfn;
};

struct ABI(physdev_manage_pci_ext) {
    uint8_t bus;
    uint8_t devfn;
    uint32_t is_extfn;
    uint32_t is_virtfn;
    struct ABI(physfn) physfn;
};

struct ABI(physdev_setup_gsi) {
    int32_t gsi;
    uint8_t triggering;
    uint8_t polarity;
};

struct ABI(physdev_get_free_pirq) {
    int32_t type;
    uint32_t pirq;
};

struct ABI(physdev_pci_mmcfg_reserved) {
    uint64_t address; /* offset 0 and size 16: alignment does not show */
    uint16_t segment;
    uint8_t start_bus;
    uint8_t end_bus;
    uint32_t flags;
};

struct ABI(physdev_pci_device_add) {
    uint16_t seg;
    uint8_t bus;
    uint8_t devfn;
    uint32_t flags;
    struct ABI(physfn) physfn;
    uint32_t optarr[];
};

struct ABI(physdev_pci_device) {
    uint16_t seg;
    uint8_t bus;
    uint8_t devfn;
};

struct ABI(physdev_dbgp_op) {
    uint8_t op;
    uint8_t bus;
    union {
        struct ABI(physdev_pci_device) pci;
    } u;
};

struct ABI(pci_device_reset) {
    struct ABI(physdev_pci_device) dev;
    uint32_t flags;
};

/* The argument of physdev_op_compat. */
struct ABI(physdev_op) {
    uint32_t cmd;
    union {
        struct ABI(physdev_irq_status_query) irq_status_query;
        struct ABI(physdev_set_iopl) set_iopl;
        struct ABI(physdev_set_iobitmap) set_iobitmap;
        struct ABI(physdev_apic) apic_op;
        struct ABI(physdev_irq) irq_op;
    } u;
};

/* ---- event_channel.h ---- */

struct ABI(evtchn_bind_interdomain) {
    uint16_t remote_dom;
    uint32_t remote_port;
    uint32_t local_port;
};

struct ABI(evtchn_bind_virq) {
    uint32_t virq;
    uint32_t vcpu;
    uint32_t port;
};

struct ABI(evtchn_bind_pirq) {
    uint32_t pirq;
    uint32_t flags;
    uint32_t port;
};

struct ABI(evtchn_close) {
    uint32_t port;
};

struct ABI(evtchn_send) {
    uint32_t port;
};

struct ABI(evtchn_status) {
    uint16_t dom;
    uint32_t port;
    uint32_t status;
    uint32_t vcpu;
    union {
        struct {
            uint16_t dom;
        } unbound;
        struct {
            uint16_t dom;
            uint32_t port;
        } interdomain;
        uint32_t pirq;
        uint32_t virq;
    } u;
};

struct ABI(evtchn_alloc_unbound) {
    uint16_t dom;
    uint16_t remote_dom;
    uint32_t port;
};

struct ABI(evtchn_bind_ipi) {
    uint32_t vcpu;
    uint32_t port;
};

struct ABI(evtchn_bind_vcpu) {
    uint32_t port;
    uint32_t vcpu;
};

struct ABI(evtchn_unmask) {
    uint32_t port;
};

struct ABI(evtchn_reset) {
    uint16_t dom;
};

struct ABI(evtchn_init_control) {
    uint64_t control_gfn;
    uint32_t offset;
    uint32_t vcpu;
    uint8_t link_bits;
    uint8_t pad[7];
};

struct ABI(evtchn_expand_array) {
    uint64_t array_gfn;
};

struct ABI(evtchn_fifo_control_block) {
    uint32_t ready;
    uint32_t rsvd;
    uint32_t head[16];
};

struct ABI(evtchn_set_priority) {
    uint32_t port;
    uint32_t priority;
};

/* The argument of event_channel_op_compat. */
struct ABI(evtchn_op) {
    uint32_t cmd;
    union {
        struct ABI(evtchn_alloc_unbound) alloc_unbound;
        struct ABI(evtchn_bind_interdomain) bind_interdomain;
        struct ABI(evtchn_bind_virq) bind_virq;
        struct ABI(evtchn_bind_pirq) bind_pirq;
        struct ABI(evtchn_bind_ipi) bind_ipi;
        struct ABI(evtchn_close) close;
        struct ABI(evtchn_send) send;
        struct ABI(evtchn_status) status;
        struct ABI(evtchn_bind_vcpu) bind_vcpu;
        struct ABI(evtchn_unmask) unmask;
    } u;
};

/* ---- hvm_op.h, dm_op.h ---- */

struct ABI(xen_hvm_inject_msi) {
    uint16_t domid;
    uint32_t data;
    ABI_U64_ALIGNED addr;
};

struct ABI(xen_dm_op_inject_msi) {
    uint32_t data;
    uint32_t pad;
    ABI_U64_ALIGNED addr;
};

/* The biggest operations of the union take 24 bytes. */
struct ABI(xen_dm_op) {
    uint32_t op;
    uint32_t pad;
    union {
        struct ABI(xen_dm_op_inject_msi) inject_msi;
        ABI_U64_ALIGNED words[3];
    } u;
};

struct ABI(xen_dm_op_buf) {
    ABI_LONG h;
    ABI_LONG size;
};

/* ---- domctl.h: one layout for both ABIs ---- */

struct ABI(xen_domctl_bind_pt_irq) {
    uint32_t machine_irq;
    uint32_t irq_type;
    union {
        struct {
            uint8_t isa_irq;
        } isa;
        struct {
            uint8_t bus;
            uint8_t device;
            uint8_t intx;
        } pci;
        struct {
            uint8_t gvec;
            uint32_t gflags;
            ABI_U64_ALIGNED gtable;
        } msi;
    } u;
};

/* Xen 4.4 to 4.9. */
struct ABI(xen_domctl_bind_pt_irq_4_4) {
    uint32_t machine_irq;
    uint32_t irq_type;
    uint32_t hvm_domid;
    union {
        struct {
            uint8_t isa_irq;
        } isa;
        struct {
            uint8_t bus;
            uint8_t device;
            uint8_t intx;
        } pci;
        struct {
            uint8_t gvec;
            uint32_t gflags;
            ABI_U64_ALIGNED gtable;
        } msi;
    } u;
};

struct ABI(xen_domctl_irq_permission) {
    uint32_t pirq;
    uint8_t allow_access;
    uint8_t pad[3];
};

/* Xen 4.4 to 4.8. */
struct ABI(xen_domctl_irq_permission_4_4) {
    uint8_t pirq;
    uint8_t allow_access;
};

/* For a PCI device; `dt` is the Arm variant, which gives the union its size. */
struct ABI(xen_domctl_assign_device) {
    uint32_t dev;
    uint32_t flags;
    union {
        struct {
            uint32_t machine_sbdf;
        } pci;
        struct {
            uint32_t size;
            ABI_U64_ALIGNED path;
        } dt;
    } u;
};

struct ABI(xen_domctl) {
    uint32_t cmd;
    uint32_t interface_version;
    uint16_t domain;
    uint16_t pad[3];
    union {
        struct ABI(xen_domctl_bind_pt_irq) bind_pt_irq;
        struct ABI(xen_domctl_irq_permission) irq_permission;
        struct ABI(xen_domctl_assign_device) assign_device;
        uint8_t pad[128];
    } u;
};

/* ---- version.h, xen.h ---- */

struct ABI(xen_feature_info) {
    uint32_t submap_idx;
    uint32_t submap;
};

struct ABI(vcpu_info) {
    uint8_t evtchn_upcall_pending;
    uint8_t evtchn_upcall_mask;
    ABI_LONG evtchn_pending_sel;
    ABI_LONG arch[ABI_ARCH_LONGS];
    uint32_t time[8];
};

struct ABI(shared_info) {
    struct ABI(vcpu_info) vcpu_info[32];
    ABI_LONG evtchn_pending[ABI_PORT_WORDS];
    ABI_LONG evtchn_mask[ABI_PORT_WORDS];
    uint32_t wc_version;
    uint32_t wc_sec;
    uint32_t wc_nsec;
#if ABI_PORT_WORDS == 64
    uint32_t wc_sec_hi;
#endif
    ABI_LONG arch[6];
#if ABI_PORT_WORDS == 32
    uint32_t wc_sec_hi; /* the last word of the i386 arch part */
#endif
};
