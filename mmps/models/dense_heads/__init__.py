from .logit_rpn_head import LogitRPNHead

__all__ = ['LogitRPNHead']
