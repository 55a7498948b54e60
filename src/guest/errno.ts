/** Error numbers that guest code returns, negated. include/uapi/asm-generic/errno-base.h */
export const EIO = 5;
export const ENODEV = 19;
export const EINVAL = 22;
export const ENOSPC = 28;
