"""The names of Python modules and functions that the rules know."""

from __future__ import annotations


def _table(**rules: str) -> dict[str, str]:
    return {name: rule for rule, names in rules.items() for name in names.split()}


MODULES = _table(
    network="""aiohttp asyncssh boto3 botocore fabric ftplib google.cloud grpc http.client http.server httplib httplib2 httpx
    huggingface_hub imaplib kaggle mechanize nntplib paramiko pexpect.pxssh poplib pycurl redis requests scrapy selenium smtplib
    socket socketserver ssl telnetlib tornado twisted urllib.request urllib2 urllib3 webbrowser websocket websockets
    xmlrpc zmq""",
    process="subprocess pexpect plumbum pty sh invoke",
    privileges="_ctypes cffi ctypes",
    background="daemon daemonize",
    install="ensurepip pip",
)
"""Modules that are there for one thing → rule. Importing them is a finding, and so is every name of theirs."""

NAMES = MODULES | _table(
    process="""os.popen os.system os.startfile os.posix_spawn os.posix_spawnp os.fork os.forkpty os.execl os.execle os.execlp
    os.execlpe os.execv os.execve os.execvp os.execvpe os.spawnl os.spawnle os.spawnlp os.spawnlpe os.spawnv os.spawnve
    os.spawnvp os.spawnvpe asyncio.create_subprocess_exec asyncio.create_subprocess_shell commands.getoutput""",
    network="""asyncio.open_connection asyncio.open_unix_connection asyncio.start_server asyncio.start_unix_server
    urllib.urlopen urllib.urlretrieve""",
    eval="eval exec compile __builtins__ runpy.run_path runpy.run_module code.interact code.InteractiveInterpreter types.CodeType"
    " types.FunctionType importlib.util.spec_from_file_location importlib.reload sys.meta_path sys.path_hooks",
    delete="""os.remove os.removedirs os.rmdir os.unlink os.truncate shutil.rmtree pathlib.Path.unlink pathlib.Path.rmdir""",
    privileges="""os.setuid os.setgid os.seteuid os.setegid os.setreuid os.setregid os.setresuid os.setresgid os.setgroups
    os.initgroups os.chown os.lchown os.fchown os.chroot os.mknod os.unshare os.setns sys.settrace sys.setprofile
    gc.get_objects sys._getframe mmap.mmap resource.setrlimit""",
    background="os.setsid os.setpgid os.setpgrp os.daemon",
    encoded="""base64.b64decode base64.b32decode base64.b16decode base64.b85decode base64.a85decode base64.decodebytes
    base64.urlsafe_b64decode base64.standard_b64decode binascii.unhexlify binascii.a2b_base64 codecs.decode""",
)
"""Names → rule. `code` that only mentions such a name is a finding: it can be called elsewhere."""

BUILTINS = frozenset({"__builtins__", "__import__", "builtins", "compile", "eval", "exec", "getattr", "open"})
"""Names that mean something without an import."""

RUNS_SHELL = frozenset(
    {
        *("os.system", "os.popen", "subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output"),
        *("subprocess.Popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"),
        *("asyncio.create_subprocess_shell", "commands.getoutput"),
    }
)
"""Functions whose first argument is a command line."""

LOADERS = frozenset(
    {
        *("pickle.load", "pickle.loads", "pickle.Unpickler", "cPickle.load", "cPickle.loads", "_pickle.load", "_pickle.loads"),
        *("marshal.load", "marshal.loads", "dill.load", "dill.loads", "cloudpickle.load", "cloudpickle.loads", "joblib.load"),
        *("shelve.open", "pandas.read_pickle", "torch.load", "yaml.unsafe_load", "jsonpickle.decode"),
    }
)
"""Functions that read a format which can hold code."""

METHODS = frozenset({"unlink", "rmdir", "rmtree"})
"""Methods that delete, whatever object has them."""

FILE_CALLS = frozenset(
    {
        *("open", "io.open", "io.FileIO", "os.open", "os.listdir", "os.scandir", "os.walk", "os.stat", "os.readlink", "os.chdir"),
        *("os.access", "os.path.exists", "os.path.isfile", "os.path.isdir", "os.path.getsize", "os.path.join", "os.rename"),
        *("os.path.expanduser", "os.remove", "os.unlink", "os.symlink", "os.link", "os.mkdir", "os.makedirs", "os.replace"),
        *("glob.glob", "glob.iglob", "codecs.open", "fileinput.input", "sqlite3.connect", "zipfile.ZipFile", "tarfile.open"),
        *("gzip.open", "bz2.open", "lzma.open", "linecache.getlines", "sys.path.append", "sys.path.insert", "mmap.mmap"),
        *("pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath", "shutil", "numpy.load", "numpy.loadtxt", "numpy.genfromtxt"),
        *("numpy.fromfile", "numpy.memmap", "numpy.save", "numpy.savetxt", "h5py.File", "pyarrow.parquet", "pickle.load"),
    }
)
"""Functions (and modules of nothing else) that take paths."""

ENVIRONMENT_PARTS = frozenset({"copy", "items", "values", "keys"})
"""Methods of `os.environ` that give all of it."""
