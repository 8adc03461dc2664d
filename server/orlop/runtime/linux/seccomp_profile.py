"""Which system calls a container may make, grouped by what they are for.

The effect is that of Docker's default profile: whatever is not named here fails with EPERM, calls newer than
everything named here fail with ENOSYS (so that the C library falls back to an older call), and a few more open up when
the container holds the capability that guards them. Names that an architecture does not have are ignored for it.
"""

from __future__ import annotations

from orlop.runtime.linux import capabilities as cap

# Files by descriptor.
_DESCRIPTORS = """
open openat openat2 creat close close_range read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2
lseek _llseek dup dup2 dup3 fcntl fcntl64 flock ioctl fsync fdatasync sync syncfs sync_file_range fallocate ftruncate
ftruncate64 truncate truncate64 fadvise64 fadvise64_64 readahead copy_file_range sendfile sendfile64 splice tee vmsplice
pipe pipe2 cachestat
"""
# Files by name, their attributes and directories.
_NAMES = """
access faccessat faccessat2 chdir fchdir getcwd chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat
lchown lchown32 link linkat symlink symlinkat readlink readlinkat rename renameat renameat2 unlink unlinkat mkdir
mkdirat rmdir mknod mknodat umask stat stat64 lstat lstat64 fstat fstat64 fstatat64 newfstatat statx statfs statfs64
fstatfs fstatfs64 getdents getdents64 utime utimes futimesat utimensat utimensat_time64 getxattr lgetxattr fgetxattr
getxattrat setxattr lsetxattr fsetxattr setxattrat listxattr llistxattr flistxattr listxattrat removexattr lremovexattr
fremovexattr removexattrat name_to_handle_at statmount listmount
"""
_WATCHING = """
inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark poll ppoll ppoll_time64 select _newselect
pselect6 pselect6_time64 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait
epoll_pwait2 eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_settime64 timerfd_gettime
timerfd_gettime64
"""
# Asynchronous input and output; io_uring stays out, it sidesteps this filter.
_ASYNC = """
io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64
"""
_MEMORY = """
brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock munlockall memfd_create
memfd_secret remap_file_pages pkey_alloc pkey_free pkey_mprotect membarrier map_shadow_stack mseal
"""
_PROCESSES = """
fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid getppid gettid getpgid getpgrp setpgid getsid
setsid getpriority setpriority ioprio_get ioprio_set prctl arch_prctl modify_ldt set_thread_area get_thread_area
set_tid_address set_robust_list get_robust_list rseq pidfd_open pidfd_send_signal process_mrelease
process_vm_readv process_vm_writev ptrace getrusage getrlimit ugetrlimit setrlimit prlimit64 times uname sysinfo getcpu
restart_syscall sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam
sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min
sched_rr_get_interval sched_rr_get_interval_time64 uretprobe
"""
_SYNCHRONIZATION = """
futex futex_time64 futex_wait futex_waitv futex_wake futex_requeue ipc msgget msgsnd msgrcv msgctl semget semop
semtimedop semtimedop_time64 semctl shmget shmat shmdt shmctl mq_open mq_unlink mq_timedsend mq_timedsend_time64
mq_timedreceive mq_timedreceive_time64 mq_notify mq_getsetattr
"""
_SIGNALS = """
kill tkill tgkill pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn
"""
_TIME = """
time gettimeofday adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
clock_nanosleep clock_nanosleep_time64 nanosleep alarm getitimer setitimer timer_create timer_delete timer_getoverrun
timer_gettime timer_gettime64 timer_settime timer_settime64
"""
_SOCKETS = """
accept accept4 bind connect listen getpeername getsockname getsockopt setsockopt recvfrom recvmmsg recvmmsg_time64
recvmsg sendmmsg sendmsg sendto shutdown socketpair socketcall
"""
_IDENTITY = """
getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid getresgid32
getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid setresuid32
setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 setgroups setgroups32 capget capset
"""
_CONFINEMENT = "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self getrandom"

ALWAYS = tuple(
    " ".join(
        (
            *(_DESCRIPTORS, _NAMES, _WATCHING, _ASYNC, _MEMORY, _PROCESSES),
            *(_SYNCHRONIZATION, _SIGNALS, _TIME, _SOCKETS, _IDENTITY, _CONFINEMENT),
        )
    ).split()
)

# Capability -> calls that are allowed with it, any arguments.
WITH_CAPABILITY = {
    cap.DAC_READ_SEARCH: "open_by_handle_at",
    cap.SYS_ADMIN: """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount
        open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
    """,
    cap.SYS_BOOT: "reboot",
    cap.SYS_CHROOT: "chroot",
    cap.SYS_MODULE: "delete_module init_module finit_module",
    cap.SYS_PACCT: "acct",
    cap.SYS_PTRACE: "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    cap.SYS_RAWIO: "iopl ioperm",
    cap.SYS_TIME: "settimeofday stime clock_settime clock_settime64",
    cap.SYS_TTY_CONFIG: "vhangup",
    cap.SYS_NICE: "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    cap.SYSLOG: "syslog",
    cap.BPF: "bpf",
    cap.PERFMON: "perf_event_open",
}

# Call -> what its first argument (the low 32 bits, which is all the kernel reads of it) must be; a capability above
# lifts the condition. Kinds: "none-of" bits of a mask, "not" a value, "one-of" values.
CONDITIONAL: dict[str, tuple[str, tuple[int, ...]]] = {
    # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: threads and processes, but no namespaces.
    "clone": ("none-of", (0x7E020000,)),
    # AF_VSOCK speaks to the hypervisor, past every network namespace.
    "socket": ("not", (40,)),
    # PER_LINUX and PER_LINUX32, both also with UNAME26; 0xffffffff asks for the current one.
    "personality": ("one-of", (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)),
}

# Its flags are in memory, where no filter sees them: told not to exist, so that the C library uses `clone`.
ABSENT = ("clone3",)
