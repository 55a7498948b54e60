/* Xen's error numbers (xen/include/public/errno.h); the C library's own may differ, as on macOS. */
#ifndef PIRQLAB_XEN_ERRNO_H
#define PIRQLAB_XEN_ERRNO_H

#define XEN_ENOENT 2
#define XEN_EBUSY 16
#define XEN_EEXIST 17
#define XEN_EINVAL 22
#define XEN_ENOSPC 28
#define XEN_EDOM 33
#define XEN_EOPNOTSUPP 95

#endif
