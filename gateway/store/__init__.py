"""The only place with SQL. Every function takes the open transaction first and never opens or commits one."""
