"""What every experiment shares: records, claims, tables, figures, report, verify."""
