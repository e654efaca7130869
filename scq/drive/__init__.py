"""Google Drive as SyftBox clients use it: what lies there, what it says, and the few things scq writes there.

Sources: developers.google.com/workspace/drive/api/reference/rest/v3, and what syft-client 0.1.88-0.1.117 and syft 0.10.0 write
(docs/drive.md).
"""
